-- Cancel a waiting task, or ask for a running one's cancellation. Arguments: the call's number, the id.
-- Answers: {what happened, code, now, task}: 0 too late, 1 cancelled, 2 asked, 3 asked before
local guard, id = P .. ':g:' .. ME .. ':' .. arg(), arg()

-- The reply to this very call was lost.
local before = tonumber(call('GET', guard) or '')
if before then
  if before == 1 then note('cancelled', id) end
  return {happened, before, now_text, snapshot(id)}
end

tend()
local record = read(id)
local code, task = 0, false
if record and is_open(record) then
  if record[STATE] ~= S_RUNNING then
    code = 1
    end_waiting(id, record, 'c', 'cancelled', S_CANCELLED)
  elseif record[ASKED] then
    code = 3
  else
    code = 2
    record[ASKED] = 1
    add_entry(record, 'q')
    change(id, record)
    send(record[HOLDER], 'c ' .. record[FENCE] .. ' ' .. id)
    operated = true
    task = snapshot(id)
  end
end
finish()
if code == 1 or code == 2 then call('SET', guard, code, 'PX', 120000) end
return {happened, code, now_text, task}

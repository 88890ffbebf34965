-- Cancel a waiting task, or ask for a running one's cancellation. Arguments: the call's number, the id.
-- Answers: {what happened, code, now, task}: 0 too late, 1 cancelled, 2 asked, 3 asked before
local guard, id = P .. ':g:' .. ME .. ':' .. arg(), arg()
local record = read(id)

-- The reply to this very call was lost.
if call('EXISTS', guard) == 1 then
  note('cancelled', id)
  return {happened, 1, now_text, false}
end

tend()
record = read(id)
local code, task = 0, false
if record and is_open(record) then
  if record[STATE] ~= S_RUNNING then
    code = 1
    end_waiting(id, record, 'c', 'cancelled', S_CANCELLED)
    call('SET', guard, '', 'PX', 120000)
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
return {happened, code, now_text, task}

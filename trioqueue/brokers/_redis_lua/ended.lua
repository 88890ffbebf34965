-- Which of these tasks have ended; of the others this opening is told then. Arguments: a list of
-- ids. Answers: {for each: 0 open, 1 unknown, or the task; now}
local answers, ids = {}, listed()
read_all(ids)
for n, id in ipairs(ids) do
  local record = records[id]
  if not record then
    answers[n] = 1
  elseif not is_open(record) then
    answers[n] = snapshot(id)
  else
    answers[n] = 0
    local waiters = record[WAITERS] or ''
    if not string.find(' ' .. waiters .. ' ', ' ' .. ME .. ' ', 1, true) then
      record[WAITERS] = waiters == '' and ME or waiters .. ' ' .. ME
      change(id, record)
    end
  end
end
write_records()
return {answers, now_text}

-- Make a scheduled task due now. Argument: the id. Answers: {what happened, 1 or 0, now}
tend()
local id = arg()
local record = read(id)
local scheduled = record and record[STATE] == S_SCHEDULED
if scheduled then become_due(id, record) end
finish()
return {happened, scheduled and 1 or 0, now_text}

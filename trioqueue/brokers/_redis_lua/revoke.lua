-- Take a running task's lease away. Argument: the id. Answers: {what happened, 1 or 0, now}
local id = arg()
local record = read(id)
local running = record and record[STATE] == S_RUNNING
if running then lose(id, record) end
finish()
return {happened, running and 1 or 0, now_text}

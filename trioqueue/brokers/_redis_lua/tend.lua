-- Do what it is time for, a batch of each kind. Answers: {what happened, 0, now, next alarm}
tend()
local next_look = next_alarm()
finish()
return {happened, 0, now_text, next_look}

-- Do what it is time for, a batch of each kind. Answers: {what happened, 0, now, next alarm}
tend()
local alarm = next_alarm()
finish()
return {happened, 0, now_text, alarm}

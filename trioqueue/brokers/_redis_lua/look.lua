-- One task. Argument: the id. Answers: {now, task}
return {now_text, snapshot(arg())}

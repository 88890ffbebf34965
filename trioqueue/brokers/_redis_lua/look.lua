-- One task. Argument: the id. Answers: {now, snapshot}
return {now_text, snapshot(arg())}

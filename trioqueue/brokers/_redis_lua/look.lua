-- One task. Argument: the id. Answers: {now, snapshot}
return {now_text, call('HGETALL', TASK .. arg())}

-- The worker processes. Answers: {now, {id, record...}}
return {now_text, call('HGETALL', P .. ':w')}

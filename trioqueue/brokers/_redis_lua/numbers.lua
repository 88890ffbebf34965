-- How many tasks are where. Answers: {now, meta, scheduled, running, waiting publishers}
return {now_text, call('HGETALL', META), call('ZCARD', SCHEDULED), call('ZCARD', LEASED),
  call('SCARD', SUBMITTERS)}

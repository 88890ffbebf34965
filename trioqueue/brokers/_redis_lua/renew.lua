-- Prolong leases, those that have expired but were not revoked as well. Arguments: how many; for
-- each: id, number, token. Answers: {positions of the lost, positions of those asked to end, now}
local lost, asked = {}, {}
local members = {}
for n = 1, numeric() do
  local id, seq, token = arg(), arg(), arg()
  local task = call('HMGET', TASK .. id, 's', 'f', 'o', 'c')
  if task[1] == S_RUNNING and task[2] == token and string.sub(task[3], 1, #seq + 1) == seq .. ' ' then
    members[#members + 1] = now + LEASE
    members[#members + 1] = id
    if task[4] then asked[#asked + 1] = n - 1 end
  else
    lost[#lost + 1] = n - 1
  end
  if #members >= 1000 then
    call('ZADD', LEASED, unpack(members))
    members = {}
  end
end
if #members > 0 then call('ZADD', LEASED, unpack(members)) end
finish()
return {lost, asked, now_text}

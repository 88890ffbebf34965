-- Prolong leases, those that have expired but were not revoked as well. Arguments: how many; for
-- each: id, number, token. Answers: {positions of the lost, positions of those asked to end, now}
local leases, ids, lost, asked, kept = {}, {}, {}, {}, {}
for n = 1, numeric() do
  leases[n] = {arg(), numeric(), numeric()}
  ids[n] = leases[n][1]
end
read_all(ids)
for n, lease in ipairs(leases) do
  local id, seq, token = unpack(lease)
  local record = records[id]
  if record and record[STATE] == S_RUNNING and record[FENCE] == token and record[SEQ] == seq then
    kept[#kept + 1] = id
    if record[ASKED] then asked[#asked + 1] = n - 1 end
  else
    lost[#lost + 1] = n - 1
  end
end
in_parts('ZADD', LEASED, kept, now + LEASE)
finish()
return {lost, asked, now_text}

-- Format 7. The cause of a finding may end while its case goes on, and may come back: then it is told anew.
ALTER TABLE case_findings ADD COLUMN ended_at INTEGER;
UPDATE case_findings SET ended_at =
  (SELECT max(happened_at) FROM case_events AS e WHERE e.case_number = case_findings.case_number)
WHERE case_number IN (SELECT case_number FROM cases WHERE state = 'closed');

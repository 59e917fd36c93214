-- The table of the original course, over all days: its figures 1 to 5 under their numbers, then those that came later.
-- 1 all, 2 sender's province, 3 receiver's province, 4 senders, 5 receivers, 6 hour, 7 sexes, 8 phone, 9 system, 10 network, 11 type, 12 distance.
-- A user is a nickname there, and counts with the days on which it was among the first hundred.
CREATE OR REPLACE SQL SECURITY INVOKER VIEW `7mo_report` (`7mo_name`, `7mo_total`, `7mo_category`) AS
SELECT '全国', CAST(sum(`messages`) AS SIGNED), '1' FROM `message_total` GROUP BY 1
UNION ALL
SELECT `province`, CAST(sum(`messages`) AS SIGNED), '2' FROM `sender_province` GROUP BY `province`
UNION ALL
SELECT `province`, CAST(sum(`messages`) AS SIGNED), '3' FROM `receiver_province` GROUP BY `province`
UNION ALL
SELECT `nickname`, CAST(sum(`messages`) AS SIGNED), '4' FROM `sender_top` GROUP BY `nickname`
UNION ALL
SELECT `nickname`, CAST(sum(`messages`) AS SIGNED), '5' FROM `receiver_top` GROUP BY `nickname`
UNION ALL
SELECT LPAD(`hour`, 2, '0'), CAST(sum(`messages`) AS SIGNED), '6' FROM `message_hourly` GROUP BY LPAD(`hour`, 2, '0')
UNION ALL
SELECT CONCAT(`sender_sex`, '→', `receiver_sex`), CAST(sum(`messages`) AS SIGNED), '7' FROM `sex_pair` GROUP BY CONCAT(`sender_sex`, '→', `receiver_sex`)
UNION ALL
SELECT `phone_type`, CAST(sum(`messages`) AS SIGNED), '8' FROM `phone_type` GROUP BY `phone_type`
UNION ALL
SELECT `os`, CAST(sum(`messages`) AS SIGNED), '9' FROM `os` GROUP BY `os`
UNION ALL
SELECT `network`, CAST(sum(`messages`) AS SIGNED), '10' FROM `network` GROUP BY `network`
UNION ALL
SELECT `msg_type`, CAST(sum(`messages`) AS SIGNED), '11' FROM `message_type` GROUP BY `msg_type`
UNION ALL
SELECT `band`, CAST(sum(`messages`) AS SIGNED), '12' FROM `distance_band` GROUP BY `band`

-- The partial figures of each day. The lines of one commit for a day are a link: what was counted of the messages committed after the link before.
-- What a large root holds stands in a part for each kind of row, and so does each large link that was put together (member1, member2, ...); all else is
-- recent, so that few new messages make one file a day, and links are put together without what the day held before.
CREATE TABLE IF NOT EXISTS {{ table }} (
  link STRING COMMENT '批次标识, 按计数先后排序',
  after STRING COMMENT '前一批次, 为空则从消息重新计数',
  until STRING COMMENT '已计入的最新消息提交时刻(Hudi)',
  commits BIGINT COMMENT '当日全部已计入消息提交时刻的校验和',
  set_name STRING COMMENT '计数项: 指标.列',
  cell STRING COMMENT '维度取值(JSON)',
  member STRING COMMENT '首次出现的账号或会话对',
  messages BIGINT COMMENT '消息数',
  fresh BIGINT COMMENT '首次出现的成员数',
  latest TIMESTAMP COMMENT '最近一条消息的时间',
  kind STRING COMMENT 'link(批次)、cell、member、partial',
  hash BIGINT COMMENT '成员的64位散列值, 与other_hash一起代替文本查找已知成员',
  other_hash BIGINT COMMENT '成员的另一64位散列值',
  day STRING COMMENT '日期',
  part STRING COMMENT 'recent(新批次), 或较大的批次按kind分开(首个批次无序号)'
)
USING hudi
PARTITIONED BY (day, part)
COMMENT '各日指标的部分计数'
TBLPROPERTIES (
  'type' = 'cow',
  'hoodie.datasource.write.hive_style_partitioning' = 'true',
  'hoodie.spark.sql.insert.into.operation' = 'bulk_insert',
  'hoodie.bulkinsert.sort.mode' = 'NONE',
  -- The other mode removes the whole table (apache/hudi 19771).
  'hoodie.datasource.overwrite.mode' = 'DYNAMIC',
  'hoodie.metadata.enable' = 'false',
  -- Hudi lists the partitions itself; telling the metastore of them would take seconds.
  'hoodie.datasource.hive_sync.enable' = 'false',
  'hoodie.datasource.meta.sync.enable' = 'false',
  -- What links were before they were put together stays for longer than any statement takes.
  'hoodie.clean.trigger.max.commits' = '30',
  'hoodie.clean.commits.retained' = '120',
  'hoodie.keep.min.commits' = '130',
  'hoodie.keep.max.commits' = '160',
  'hoodie.embed.timeline.server' = 'false',
  'hoodie.write.markers.type' = 'DIRECT',
  'hoodie.parquet.compression.codec' = 'zstd',
  -- Each file gets a Bloom filter of 431 kB otherwise: the row writer does not ask whether one is wanted.
  'hoodie.bloom.index.filter.type' = 'SIMPLE',
  'hoodie.index.bloom.num_entries' = '1',
  -- One writer at a time would undo what another has begun: two runs may count at once.
  'hoodie.write.concurrency.mode' = 'OPTIMISTIC_CONCURRENCY_CONTROL',
  'hoodie.write.lock.provider' = 'org.apache.hudi.client.transaction.lock.InProcessLockProvider',
  'hoodie.cleaner.policy.failed.writes' = 'LAZY'
)

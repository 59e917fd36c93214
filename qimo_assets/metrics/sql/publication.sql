CREATE TABLE IF NOT EXISTS `publication` (
  `metric` VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT '指标表名',
  `day` DATE NOT NULL COMMENT '日期',
  `source_instant` VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT '数据来源时刻(Hudi提交时刻)',
  `row_count` BIGINT NOT NULL COMMENT '行数',
  `checksum` CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT '内容校验和(SHA-256)',
  `published_at` DATETIME(3) NOT NULL COMMENT '发布时间(北京时间)',
  PRIMARY KEY (`metric`, `day`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COMMENT '各指标每日发布记录'

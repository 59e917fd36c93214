"""The metric catalog as data. A metric is an entry here and a view of the same name in `views/sql`,
nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from qimo_assets.contract import MAX_VALUES, REASONS_ZH

TEXT_LENGTH = 191
TEXT = f"VARCHAR({TEXT_LENGTH})"
COUNT = "BIGINT"
# A column of rows that are counted already, see `Metric.partial`.
LATEST = "latest"

# How a metric's messages relate to message_total's of the same day: they are it, they add up to it,
# they are a part of it because only the first ranks are listed, or there are none to compare
# because the metric counts other things.
Additive = Literal["total", "sum", "top", "distinct"]


@dataclass(frozen=True)
class Column:
    """A column of a metric's table.

    Attributes:
        name: Name in the view and in MySQL.
        mysql_type: Type in MySQL; `TEXT` is any text, shortened when it does not fit.
        comment_zh: Chinese comment of the column.
        at_most: The column of the same row that this one never exceeds, such as the messages of
            which it counts the distinct senders.
        is_account: Whether it names a user, which the setting `mysql.mask_accounts` hides.
        adds: Whether it may be added over days. A distinct count or an age may not: of those only
            the mean of the days says something.
        nullable: Whether a day may have no such figure, which is not the same as 0.
        comment_en: What a measure counts, in English, for the report.
        plain_name: A second name, for a name that SQL reserves and a BI tool would have to quote.
            Views and tables have both until the next release, then this one alone.
        of: The columns of the view's facts whose distinct values it counts; none for a measure that
            is no distinct count.
    """

    name: str
    mysql_type: str
    comment_zh: str
    at_most: str | None = None
    is_account: bool = False
    adds: bool = False
    nullable: bool = False
    comment_en: str = ""
    plain_name: str | None = None
    of: tuple[str, ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether the column holds text."""
        return self.mysql_type == TEXT


@dataclass(frozen=True)
class Metric:
    """A figure per day.

    Attributes:
        name: Name of the view and of the table.
        grain: What a row stands for, after the day; with the day it is the primary key.
        measures: The other columns.
        title_zh: Chinese title.
        title_en: English title.
        unit: What is counted, in Chinese.
        additive: How its messages relate to those of message_total.
        warn_minutes: Age at which the freshness policy warns.
        fail_minutes: Age at which the freshness policy fails.
        rest: After a run the metric rests so many times as long as it took, five minutes at most; 0
            follows each change. For one that reads many days.
        late_minutes: Minutes that days before today, which only late lines touch, wait for each
            other; 0 follows each change.
        looks_back: Days before its own from which a day's figures are made: 29 for the users of 30
        days.
        looks_ahead: Days after its own from which a day's figures are made: 1 for the users who
            come back the next day.
        partial: Where its view marks rows that are counted already, their columns beside day and
            messages, each with its type in Spark. `latest` is a newest time; the others tell the
            rows apart.
        max_values: How many values of its grain a day tells apart, those with most messages; the
            rest is one row, 其他. None for a grain that is bounded by itself.
    """

    name: str
    grain: tuple[Column, ...]
    measures: tuple[Column, ...]
    title_zh: str
    title_en: str
    unit: str
    additive: Additive
    warn_minutes: int = 15
    fail_minutes: int = 60
    rest: int = 0
    late_minutes: int = 1
    looks_back: int = 0
    looks_ahead: int = 0
    partial: tuple[tuple[str, str], ...] = ()
    max_values: int | None = None

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """The primary key: the day and the grain."""
        return (DAY, *self.grain)

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns in the order of view and table."""
        return (*self.key_columns, *self.measures)

    @property
    def plain_names(self) -> dict[str, Column]:
        """The second names of columns, in order; views and tables have them after all columns."""
        return {column.plain_name: column for column in self.columns if column.plain_name}


TOTAL = "message_total"
DAY = Column("day", "DATE", "日期")
MESSAGES = Column("messages", COUNT, "消息数", adds=True, comment_en="messages")


def _distinct(name: str, comment_zh: str, comment_en: str, *of: str) -> Column:
    return Column(name, COUNT, comment_zh, at_most=MESSAGES.name, comment_en=comment_en, of=of)


SENDERS = _distinct("senders", "发件人数", "distinct accounts that sent", "sender_account")
RECEIVERS = _distinct(
    "receivers", "收件人数", "distinct accounts that were written to", "receiver_account"
)


def _by_province(party: str, party_zh: str) -> Metric:
    return Metric(
        name=f"{party}_province",
        grain=(
            Column("country", TEXT, f"{party_zh}国家"),
            Column("province", TEXT, f"{party_zh}省份"),
        ),
        measures=(
            MESSAGES,
            _distinct("users", f"{party_zh}数", f"distinct {party}s", f"{party}_account"),
        ),
        title_zh=f"各省份{party_zh}消息量",
        title_en=f"Messages by {party}'s province",
        unit="条",
        additive="sum",
    )


def _top(party: str, party_zh: str, verb_zh: str) -> Metric:
    return Metric(
        name=f"{party}_top",
        grain=(Column("rank", "SMALLINT", "名次(1-100)", plain_name="place"),),
        measures=(
            Column("account", TEXT, f"{party_zh}账号", is_account=True),
            Column("nickname", TEXT, "当日最后使用的昵称"),
            MESSAGES,
        ),
        title_zh=f"{verb_zh}消息最多的100个账号",
        title_en=f"Top 100 {party}s",
        unit="条",
        additive="top",
        partial=(("account", "STRING"), ("nickname", "STRING"), (LATEST, "TIMESTAMP")),
    )


def _by_senders(name: str, dimension: str, dimension_zh: str, title_en: str) -> Metric:
    return Metric(
        name=name,
        grain=(Column(dimension, TEXT, dimension_zh),),
        measures=(MESSAGES, SENDERS),
        title_zh=f"各{dimension_zh}的消息量",
        title_en=title_en,
        unit="条",
        additive="sum",
        max_values=MAX_VALUES,
    )


METRICS: tuple[Metric, ...] = (
    Metric(
        name=TOTAL,
        grain=(),
        measures=(
            MESSAGES,
            SENDERS,
            RECEIVERS,
            _distinct(
                "pairs",
                "会话对数(发件人与收件人的不同组合)",
                "distinct pairs of sender and receiver",
                "sender_account",
                "receiver_account",
            ),
        ),
        title_zh="每日消息总量",
        title_en="Messages by day",
        unit="条",
        additive="total",
    ),
    Metric(
        name="message_hourly",
        grain=(Column("hour", "TINYINT", "小时(0-23)"),),
        measures=(MESSAGES, SENDERS, RECEIVERS),
        title_zh="每小时消息量",
        title_en="Messages by hour",
        unit="条",
        additive="sum",
    ),
    _by_province("sender", "发件人"),
    _by_province("receiver", "收件人"),
    _top("sender", "发件人", "发送"),
    _top("receiver", "收件人", "接收"),
    Metric(
        name="sex_pair",
        grain=(
            Column("sender_sex", TEXT, "发件人性别"),
            Column("receiver_sex", TEXT, "收件人性别"),
        ),
        measures=(MESSAGES,),
        title_zh="收发双方性别组合的消息量",
        title_en="Messages by sexes of sender and receiver",
        unit="条",
        additive="sum",
    ),
    _by_senders("phone_type", "phone_type", "发件人手机型号", "Messages by sender's phone"),
    _by_senders("os", "os", "发件人操作系统", "Messages by sender's operating system"),
    _by_senders("network", "network", "发件人网络制式", "Messages by sender's network"),
    _by_senders("message_type", "msg_type", "消息类型", "Messages by type"),
    Metric(
        name="distance_band",
        grain=(Column("band", TEXT, "双方距离区间(公里, 含下限)"),),
        measures=(MESSAGES,),
        title_zh="各距离区间的消息量",
        title_en="Messages by distance between sender and receiver",
        unit="条",
        additive="sum",
    ),
    Metric(
        name="active_user",
        grain=(),
        measures=(
            Column(
                "daily",
                COUNT,
                "日活跃用户数(当日发过消息的账号)",
                at_most="weekly",
                comment_en="accounts that sent on the day",
            ),
            Column(
                "weekly",
                COUNT,
                "周活跃用户数(截至当日的7天)",
                at_most="monthly",
                comment_en="accounts that sent in the 7 days up to the day",
            ),
            Column(
                "monthly",
                COUNT,
                "月活跃用户数(截至当日的30天)",
                comment_en="accounts that sent in the 30 days up to the day",
            ),
            Column(
                "new",
                COUNT,
                "新用户数(此前从未发过消息)",
                at_most="daily",
                comment_en="accounts that had never sent before",
            ),
            Column(
                "returning_next_day",
                COUNT,
                "次日仍活跃的用户数",
                at_most="daily",
                comment_en="accounts of the day that send on the next day too",
            ),
        ),
        title_zh="活跃用户与次日留存",
        title_en="Active users and retention",
        unit="人",
        additive="distinct",
        # At most a quarter of the time goes into it.
        rest=3,
        looks_back=29,
        looks_ahead=1,
    ),
    Metric(
        name="data_quality",
        grain=(),
        measures=(
            Column(
                "lines",
                COUNT,
                "收到的行数(入湖与隔离, 重发不计)",
                adds=True,
                comment_en="lines that arrived, in the lake or in quarantine, each once",
                plain_name="lines_received",
            ),
            Column(
                "rows",
                COUNT,
                "入湖行数",
                at_most="lines",
                adds=True,
                comment_en="lines in the lake",
                plain_name="rows_in_lake",
            ),
            *(
                Column(
                    f"quarantined_{reason.value}",
                    COUNT,
                    f"隔离行数: {text}",
                    at_most="lines",
                    adds=True,
                    comment_en=f"lines in quarantine: {reason.value.replace('_', ' ')}",
                )
                for reason, text in REASONS_ZH.items()
            ),
            Column(
                "sent_again",
                COUNT,
                "重发行数",
                adds=True,
                comment_en="further arrivals of lines that were there, counted once all the same",
            ),
            Column(
                "late",
                COUNT,
                "迟到行数(采集日期晚于消息日期)",
                at_most="rows",
                adds=True,
                comment_en="messages that were collected after their day was over",
            ),
            Column(
                "age_p50",
                COUNT,
                "未迟到消息从发送到入湖的秒数: 中位数; 全部迟到时为空",
                at_most="age_p99",
                nullable=True,
                comment_en="seconds from a message to the lake, half of those not late; none where "
                "all are late",
            ),
            Column(
                "age_p99",
                COUNT,
                "未迟到消息从发送到入湖的秒数: 99%分位; 全部迟到时为空",
                nullable=True,
                comment_en="seconds from a message to the lake, 99 % of those not late; none where "
                "all are late",
            ),
        ),
        title_zh="数据质量",
        title_en="Data quality",
        unit="行",
        additive="distinct",
        partial=(("age", "BIGINT"),),
    ),
)

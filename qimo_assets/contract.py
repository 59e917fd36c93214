r"""The message contract as data: what a line holds, field by field, and why a line is rejected.

One line is UTF-8, 20 fields separated by `\x01`, ended by `\n` or `\r\n`. Everything that knows a
field's name, type or rule derives it from here; how the rules are applied in Spark stands in
`lake/parse.py`.

A field that the servers begin to write later is put at the end of `FIELDS` as `added`: a line that
ends before it stays good, and its column is NULL there. docs/schema.md says what else there is to
do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

SEPARATOR = "\x01"
TIMEZONE = "Asia/Shanghai"
TIME_FORMAT = "yyyy-MM-dd HH:mm:ss"
UNKNOWN = "未知"
# Stands for all values of a text beyond the first so many of a day: clients decide how many there
# are.
OTHERS = "其他"
MAX_VALUES = 100

Kind = Literal["time", "text", "sex", "ip", "gps", "distance"]


@dataclass(frozen=True)
class Field:
    """One field of a line.

    Attributes:
        name: Name in the lake; a `gps` field becomes `<party>_longitude` and `<party>_latitude`.
        kind: How the text is read.
        comment: Chinese comment of the column.
        required: Whether a line without it is rejected.
        added: Whether it came after the first 20, so that there are lines which end before it; it
            cannot be required.
    """

    name: str
    kind: Kind
    comment: str
    required: bool = False
    added: bool = False

    @property
    def columns(self) -> dict[str, str]:
        """Its columns in the lake, and their Chinese comments."""
        if self.kind != "gps":
            return {self.name: self.comment}
        party = self.name.removesuffix("_gps")
        return {
            f"{party}_longitude": f"{self.comment}经度",
            f"{party}_latitude": f"{self.comment}纬度",
        }


FIELDS: tuple[Field, ...] = (
    Field("msg_time", "time", "消息时间", required=True),
    Field("sender_nickname", "text", "发件人昵称"),
    Field("sender_account", "text", "发件人账号", required=True),
    Field("sender_sex", "sex", "发件人性别"),
    Field("sender_ip", "ip", "发件人IP"),
    Field("sender_os", "text", "发件人系统"),
    Field("sender_phone_type", "text", "发件人手机型号"),
    Field("sender_network", "text", "发件人网络制式"),
    Field("sender_gps", "gps", "发件人GPS"),
    Field("receiver_nickname", "text", "收件人昵称"),
    Field("receiver_ip", "ip", "收件人IP"),
    Field("receiver_account", "text", "收件人账号", required=True),
    Field("receiver_os", "text", "收件人系统"),
    Field("receiver_phone_type", "text", "收件人手机型号"),
    Field("receiver_network", "text", "收件人网络制式"),
    Field("receiver_gps", "gps", "收件人GPS"),
    Field("receiver_sex", "sex", "收件人性别"),
    Field("msg_type", "text", "消息类型"),
    Field("distance", "distance", "双方距离(公里)"),
    Field("message", "text", "消息内容"),
)

MIN_FIELDS = sum(not field.added for field in FIELDS)

SEXES = ("男", "女")


class Reason(str, Enum):
    """Why a line is in quarantine, in the order in which the rules are tried."""

    TOO_LONG = "too_long"
    NOT_UTF8 = "not_utf8"
    FIELD_COUNT = "field_count"
    BAD_TIME = "bad_time"
    BEFORE_FIRST_DAY = "before_first_day"
    TIME_AHEAD = "time_ahead"
    NO_SENDER = "no_sender"
    NO_RECEIVER = "no_receiver"


REASONS_ZH: dict[Reason, str] = {
    Reason.TOO_LONG: "行过长",
    Reason.NOT_UTF8: "不是UTF-8",
    Reason.FIELD_COUNT: "字段数不对",
    Reason.BAD_TIME: "时间无效",
    Reason.BEFORE_FIRST_DAY: "早于起始日",
    Reason.TIME_AHEAD: "时间超前",
    Reason.NO_SENDER: "缺少发件人账号",
    Reason.NO_RECEIVER: "缺少收件人账号",
}

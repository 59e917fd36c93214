"""Lines that were counted wrong once somewhere on the way, and what has to become of each: data for
one flow through the whole stack.
"""

from __future__ import annotations

from qimo_assets.contract import FIELDS, Reason

# The day before that of the hostile texts: days that follow each other are published in one run.
DAY = "2024-02-28"
# What all of the corpus's files, and no others, have in their names.
NAME = "corpus"
# A text column of MySQL holds 191 characters; these differ beyond.
LONG = "长" * 300


def line(time: str = f"{DAY} 10:00:00", **fields: str) -> bytes:
    """Return a good line, unless the fields say otherwise.

    Args:
        time: The message's time.
        fields: Its other fields by name; both accounts have a value if they are not given.
    """
    given = {"msg_time": time, "sender_account": "A", "receiver_account": "B", **fields}
    return "\x01".join(given.get(field.name, "") for field in FIELDS).encode()


# Of each file its lines, with their ends, and the reason why a line is rejected.
FILES: dict[str, list[tuple[bytes, Reason | None]]] = {
    f"{NAME} 聊天 %20.log": [
        (line(sender_phone_type=LONG + "1", sender_nickname=LONG) + b"\n", None),
        (line(sender_phone_type=LONG + "2", sender_account=LONG) + b"\n", None),
        # Accounts that a lenient collation takes for one.
        *((line(sender_account=account) + b"\n", None) for account in ("a", "Ａ", "A ", "á")),
        (line(message="ends with a carriage return") + b"\r\n", None),
        (line(sender_ip="2001:db8::1", sender_gps="181.0,-91.0", distance="1e3KM") + b"\n", None),
        (line(sender_sex="其他", msg_type="\t", sender_os="\N{ZERO WIDTH SPACE}") + b"\n", None),
        (b"\n", Reason.FIELD_COUNT),
        (line() + b"\x01\n", Reason.FIELD_COUNT),
        (line(message="latin") + b"\xe9\n", Reason.NOT_UTF8),
        (line(sender_account="") + b"\n", Reason.NO_SENDER),
        (line(receiver_account="") + b"\n", Reason.NO_RECEIVER),
    ],
    f"{NAME}-{'n' * 200}.log": [
        # Each of a calendar's or a time zone's seams.
        *(
            (line(time) + b"\n", Reason.BEFORE_FIRST_DAY)
            for time in (
                "0001-01-01 00:00:00",
                "1582-10-10 00:00:00",
                "1900-01-01 00:05:43",
                "1970-01-01 07:59:59",
                "1986-05-04 02:30:00",
                "2020-12-31 23:59:59",
            )
        ),
        (line("9999-12-31 23:59:59") + b"\n", Reason.TIME_AHEAD),
        (line("2023-02-29 10:00:00") + b"\n", Reason.BAD_TIME),
        (line(f"{DAY} 24:00:00") + b"\n", Reason.BAD_TIME),
        (line(f"{DAY}T10:00:00") + b"\n", Reason.BAD_TIME),
    ],
}
# What another producer writes into the topic, as it is.
PLAIN: list[tuple[bytes, Reason | None]] = [
    (line(message="of another producer"), None),
    (b"of another producer", Reason.FIELD_COUNT),
]
# These of the files' lines come once more, as the agent sends them again after a crash.
AGAIN = (line(sender_account="a"), b"")

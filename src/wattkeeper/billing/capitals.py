"""Amounts of yuan in the capital characters of Chinese bills 人民币大写, which cannot be altered by a stroke.

After the rules of 《支付结算办法》 annex 1 (正确填写票据和结算凭证的基本规定): 零 stands once for any run of zeros within the
number, 整 closes an amount without fen, 角 is never left out before 分 but read as 零.
"""

from decimal import Decimal

from wattkeeper.billing.errors import DocumentError

_DIGITS = "零壹贰叁肆伍陆柒捌玖"
_UNITS = ("", "拾", "佰", "仟")
_GROUPS = ("", "万", "亿", "万亿")
_FEN = Decimal(100)
_LIMIT = Decimal(10) ** 16


def yuan_in_capitals(amount: Decimal) -> str:
    """The amount in words, to the fen; a credit begins with 负."""
    fen = abs(amount) * _FEN
    if fen != int(fen) or abs(amount) >= _LIMIT:
        raise DocumentError(
            f"{amount} yuan cannot be written in capital characters.", hint="Round it to the fen."
        )
    whole, rest = divmod(int(fen), 100)
    sign = "负" if amount < 0 else ""
    words = f"{_whole(whole)}元" if whole else ""
    if not rest:
        return f"{sign}{words or '零元'}整"
    jiao, cents = divmod(rest, 10)
    if jiao:
        # 零 marks a yuan that ends in zero before a jiao that does not.
        words += ("零" if whole and whole % 10 == 0 else "") + f"{_DIGITS[jiao]}角"
    elif whole:
        words += "零"
    return sign + words + (f"{_DIGITS[cents]}分" if cents else "整")


def _whole(number: int) -> str:
    words = ""
    zero = False
    for place in range(len(_GROUPS) - 1, -1, -1):
        group = number // 10_000**place % 10_000
        if not group:
            zero = zero or bool(words)
            continue
        if words and (zero or group < 1_000):  # noqa: PLR2004 - the thousand of the group is zero
            words += "零"
        words += _group(group) + _GROUPS[place]
        zero = False
    return words


def _group(group: int) -> str:
    words = ""
    zero = False
    for place in range(3, -1, -1):
        digit = group // 10**place % 10
        if digit:
            words += ("零" if zero and words else "") + _DIGITS[digit] + _UNITS[place]
            zero = False
        else:
            zero = True
    return words

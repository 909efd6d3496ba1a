"""Amounts in capital Chinese numerals (大写金额), as they stand wherever a decision about money is made."""

from decimal import Decimal

_DIGITS = "零壹贰叁肆伍陆柒捌玖"
_PLACES = ("", "拾", "佰", "仟")


def capital_yuan(amount: Decimal) -> str:
    """Return 壹佰贰拾捌万陆仟肆佰元整 for 1286400.00; zero is 零元整, a negative amount begins with 负.

    `整` stands after 元 and after 角, never after 分; a missing 角 before 分 is written 零.
    Source: 支付结算办法 附一《正确填写票据和结算凭证的基本规定》.
    """
    fen = int((abs(amount) * 100).to_integral_exact())
    yuan, jiao, rest = fen // 100, fen // 10 % 10, fen % 10
    text = f"{_whole(yuan)}元" if yuan or not fen else ""
    if jiao:
        text += f"{_DIGITS[jiao]}角"
    elif rest and yuan:
        text += "零"
    text += f"{_DIGITS[rest]}分" if rest else "整"
    return f"负{text}" if amount < 0 else text


def _whole(number: int) -> str:
    """Write a whole number by its groups of four digits: 亿, 万, and the rest."""
    for unit, word in ((10**8, "亿"), (10**4, "万")):
        if number >= unit:
            high, low = divmod(number, unit)
            gap = _DIGITS[0] if 0 < low < unit // 10 else ""
            return f"{_whole(high)}{word}{gap}{_whole(low) if low else ''}"
    text, skipped = "", False
    for place in (3, 2, 1, 0):
        digit = number // 10**place % 10
        if digit:
            text += (_DIGITS[0] if skipped else "") + _DIGITS[digit] + _PLACES[place]
        skipped = digit == 0 and bool(text)
    return text or _DIGITS[0]

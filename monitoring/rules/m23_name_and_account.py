"""M23 收款人户名账号不符: the name is not the account's, or the bank gave money back for that before."""

from collections.abc import Mapping

from monitoring.facts import Finding, PaymentFacts
from monitoring.parameters import found_words
from monitoring.rules.seen import payees_seen


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if a payee's name is not the one filed for the account, or a bank returned a payment to just this name and
    account with a reason that holds one of the `words`; a white-listed payee is known to be right."""
    for payee in facts.payees:
        if payee.listed == "white":
            continue
        seen = {"payees": payees_seen([payee]), "filed_name": payee.filed_name, "returned": list(payee.returned)}
        if payee.filed_name and payee.filed_name != payee.name:
            text = f"账号 {payee.account_no} 备案户名是 {payee.filed_name}，本单填写 {payee.name}。"
            return Finding("details", "收款人户名", payee.filed_name, text, seen)
        reasons = [reason for reason in payee.returned if found_words(parameters, "words", reason)]
        if reasons:
            text = f"{payee.name} {payee.account_no} 曾被银行退回：{reasons[0]}。"
            return Finding("details", "收款人户名", reasons[0], text, seen)
    return None

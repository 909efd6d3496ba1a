"""What a visitor is told, and how the partners' desks show their books."""

import os
from collections.abc import Callable
from typing import Any

from demo.world import PASSWORD


def balance(state: dict[str, Any], account_no: str) -> str:
    """Return an account's balance in a desk's state, in yuan."""
    return next(str(row["balance"]) for row in state["accounts"] if row["no"] == account_no)


def pboc_limit(state: dict[str, Any], organisation: str, mode: str) -> str:
    """Return what PBoC's own book still lets a bank clear."""
    bank_no = {"BANK-A": "102990100019", "BANK-B": "103990100027"}[organisation]
    rows = [row for row in state["limits"] if row["bank_no"] == bank_no and row["pay_type"] == mode]
    return str(rows[0]["remaining"]) if rows else "0.00"


def chaos() -> Callable[[str], None] | None:
    """Return the hook of the crash test, if one is asked for: a file to which every finished step is appended."""
    path = os.environ.get("GUOKU_DEMO_STEPS_FILE")
    if not path:
        return None

    def note(step: str) -> None:
        with open(path, "a", encoding="utf-8") as steps:
            steps.write(step + "\n")

    return note


def what_to_try(base_url: str) -> str:
    return f"""
国库集中支付 · 演示已就绪  {base_url}

登录（密码均为 {PASSWORD}，仅限演示）
  u101001-jb 教育局经办    u101001-fh 复核    u101001-fz 负责人    u101001-yz 印鉴
  u101002-jb 一中经办      u205001-jb 公安局经办（-fh、-fz、-yz 同上）
  ys-jb / ys-fz 预算科     jkw-sh / xzzf-sh 业务科    gk-jh 计划    gk-sh 支付审核    gk-kz 国库科长
  gk-zd 制单    gk-yz 印鉴    gk-dz 对账    gk-jk 监控    ld-fg 分管领导    admin 系统管理（{base_url}/admin/）

可以试试
  1. 用 gk-dz 打开「对账与日结」，看九张对账单与日结；再到「业务日」开 2026-06-16。
  2. 用 u205001-jb 在 I5 上申请 40,000.01 元：额度不足；改为 40,000.00 元即可提交。
  3. 用 u205001-fh 审核它，再用 u205001-jb 试着自己审核：岗位分离会拒绝。
  4. 用 gk-sh 打开「凭证库」中的 ZF0001：看凭证字段、签名、发送记录与部分失败的回单。
  5. 终端运行 python3 run.py manage audit：逐条核对守恒关系。
"""

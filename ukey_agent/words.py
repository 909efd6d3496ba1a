"""What the confirmation page calls actions and posts; the names of posts are those of the finance system."""

ACTIONS = {
    "approve": "审核同意",
    "return": "退回",
    "reject": "否决",
    "stamp": "加盖印鉴",
    "seal": "签章发送",
    "login": "登录系统",
    "enrol": "启用证书",
    "renew": "更新证书",
}
POSTS = {
    "unit_clerk": "单位经办",
    "unit_reviewer": "单位复核",
    "unit_leader": "单位负责人",
    "unit_sealer": "单位印鉴管理",
    "budget_clerk": "预算科经办",
    "budget_approver": "预算科负责人",
    "section_reviewer": "业务科审核",
    "plan_reviewer": "国库计划审核",
    "payment_reviewer": "国库支付审核",
    "treasury_chief": "国库科长",
    "voucher_maker": "国库制单",
    "name_seal": "国库名章管理",
    "unit_name_seal": "单位名章管理",
    "seal_keeper": "业务专用章管理",
    "reconciler": "国库对账",
    "monitor_officer": "动态监控",
    "roster_checker": "编办人社核定",
    "system_admin": "系统管理员",
    "security_admin": "安全保密员",
    "security_auditor": "安全审计员",
}

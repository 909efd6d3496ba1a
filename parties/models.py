"""Who there is: regions, units, banks, accounts, people and the posts they hold."""

from datetime import timedelta

import pghistory
import pgtrigger
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import F, Q

from core.ids import new_id
from core.models import RegionYearModel, any_changed, append_only
from core.money import MoneyField
from evidence.history import recorded
from evidence.triggers import witnessed
from parties.duties import DELEGABLE, UNIT_POSTS, Post, forbidden_pairs
from parties.states import CHAIN_FLOW, ChainState


@pghistory.track(meta=recorded("parties_region"))
class Region(models.Model):
    """财政区划, with the codes it carries on the wire."""

    adm_div_code = models.CharField("行政区划", max_length=9, primary_key=True)
    name = models.CharField(max_length=60)
    fin_org_code = models.CharField("财政机关代码", max_length=12)
    tre_code = models.CharField("国库代码", max_length=10)
    treasury_name = models.CharField("国库名称", max_length=60)
    finance_organisation = models.CharField("财政签名机构", max_length=30, unique=True)
    pboc_organisation = models.CharField("人民银行签名机构", max_length=30)
    ukey_required = models.BooleanField("办理须 UKey 签名", default=False)

    class Meta:
        verbose_name = verbose_name_plural = "区划与国库"

    def __str__(self) -> str:
        return self.name


@pghistory.track(meta=recorded("parties_agentbank"))
class AgentBank(models.Model):
    """代理银行 of a region."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    adm_div_code = models.CharField(max_length=9)
    code = models.CharField("银行代码", max_length=10)
    name = models.CharField(max_length=60)
    bank_no = models.CharField("行号", max_length=12)
    organisation = models.CharField("签名机构", max_length=30)
    clearing_account_no = models.CharField("清算账号", max_length=32)

    class Meta:
        verbose_name = verbose_name_plural = "代理银行"
        constraints = [
            models.UniqueConstraint(fields=["adm_div_code", "code"], name="agent_bank_code_once"),
            models.UniqueConstraint(fields=["adm_div_code", "organisation"], name="agent_bank_organisation_once"),
        ]

    def __str__(self) -> str:
        return self.name


@pghistory.track(meta=recorded("parties_budgetunit"))
class BudgetUnit(models.Model):
    """预算单位. `section` is the finance section (业务科) that looks after it."""

    class Nature(models.TextChoices):
        ADMINISTRATIVE = "行政", "行政单位"
        CIVIL = "参公", "参公单位"
        INSTITUTION = "事业", "事业单位"
        OTHER = "其他", "其他"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    adm_div_code = models.CharField(max_length=9)
    code = models.CharField("单位编码", max_length=15)
    name = models.CharField(max_length=100)
    nature = models.CharField("单位性质", max_length=4, choices=Nature)
    department_code = models.CharField("一级预算单位", max_length=15)
    department_name = models.CharField(max_length=100)
    section = models.CharField("业务科室", max_length=20)
    organisation = models.CharField("签名机构", max_length=30)
    active = models.BooleanField(default=True)
    finance_agent = models.BooleanField(
        "财政代列单位", default=False
    )  # a pseudo-unit through which finance pays for others

    class Meta:
        verbose_name = verbose_name_plural = "预算单位"
        constraints = [models.UniqueConstraint(fields=["adm_div_code", "code"], name="budget_unit_code_once")]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class UnitGroup(models.Model):
    """单位组: units that share a menu or extra fields; a unit may be in several."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    adm_div_code = models.CharField("行政区划", max_length=9)
    code = models.SlugField("代码", max_length=20)
    name = models.CharField("名称", max_length=40)
    units = models.ManyToManyField(BudgetUnit, verbose_name="单位", blank=True, related_name="groups")

    class Meta:
        verbose_name = verbose_name_plural = "单位组"
        constraints = [models.UniqueConstraint(fields=["adm_div_code", "code"], name="unit_group_once")]

    def __str__(self) -> str:
        return self.name


class GroupMenu(models.Model):
    """单位组菜单: an entry of its own in the navigation of a group's clerks, leading to one kind of payment."""

    group = models.ForeignKey(UnitGroup, models.CASCADE, related_name="menu", verbose_name="单位组")
    label = models.CharField("菜单名", max_length=12)
    business_type = models.CharField("业务类型", max_length=2)
    ordinal = models.PositiveSmallIntegerField("次序", default=1)

    class Meta:
        verbose_name = verbose_name_plural = "单位组菜单"
        ordering = ["group", "ordinal"]
        constraints = [models.UniqueConstraint(fields=["group", "label"], name="group_menu_once")]

    def __str__(self) -> str:
        return self.label


@pghistory.track(meta=recorded("parties_bankaccount"))
class BankAccount(models.Model):
    """A filed account (已备案账户): only these may pay. A unit's own cash accounts are filed too, for M07."""

    class Kind(models.TextChoices):
        TSA = "tsa", "国库单一账户"
        FINANCE_ZERO_BALANCE = "finance_zero_balance", "财政零余额账户"
        UNIT_ZERO_BALANCE = "unit_zero_balance", "单位零余额账户"
        FINANCE_SPECIAL = "finance_special", "财政专户"
        UNIT_BASIC = "unit_basic", "单位基本户"
        UNIT_SPECIAL = "unit_special", "单位专用户"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    adm_div_code = models.CharField(max_length=9)
    account_no = models.CharField("账号", max_length=32)
    name = models.CharField("户名", max_length=100)
    bank_name = models.CharField("开户行", max_length=100)
    kind = models.CharField(max_length=24, choices=Kind)
    agent_bank = models.ForeignKey(AgentBank, models.PROTECT, null=True, blank=True)
    unit = models.ForeignKey(BudgetUnit, models.PROTECT, null=True, blank=True)
    fund_natures = models.JSONField("资金性质", default=list)
    active = models.BooleanField(default=True)

    class Meta:
        verbose_name = verbose_name_plural = "账户"
        constraints = [models.UniqueConstraint(fields=["adm_div_code", "account_no"], name="account_no_once")]

    def __str__(self) -> str:
        return f"{self.account_no} {self.name}"


class Person(models.Model):
    """A natural person. Duties are separated between persons, never between log-ins."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=40)
    staff_no = models.CharField("工号", max_length=30, unique=True)
    left_on = models.DateField("离岗日期", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "人员"

    def __str__(self) -> str:
        return self.name


class User(AbstractUser):
    """A log-in; a person may have several, and they count as one person."""

    person = models.ForeignKey(Person, models.PROTECT, null=True, blank=True, related_name="users")
    adm_div_code = models.CharField(max_length=9, blank=True)


_PAIRS = ", ".join(f"('{post}', '{other}')" for post, other in forbidden_pairs())


@pghistory.track(meta=recorded("parties_postassignment"))
class PostAssignment(models.Model):
    """A post held by a log-in from one date to another, for one unit, one section or the whole bureau."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    adm_div_code = models.CharField(max_length=9)
    user = models.ForeignKey(User, models.PROTECT, related_name="posts")
    post = models.CharField("岗位", max_length=24, choices=Post)
    unit_code = models.CharField("单位", max_length=15, blank=True)
    section = models.CharField("科室", max_length=20, blank=True)
    valid_from = models.DateField()
    valid_to = models.DateField(null=True, blank=True)
    granted_by = models.CharField(max_length=60)

    class Meta:
        verbose_name = verbose_name_plural = "岗位授予"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "post", "unit_code", "section"],
                condition=Q(valid_to__isnull=True),
                name="post_granted_once",
            ),
            # Without a unit an officer sees every unit of the region: no unit post may be given so.
            models.CheckConstraint(
                name="unit_post_names_its_unit",
                condition=Q(post__in=sorted(UNIT_POSTS)) & ~Q(unit_code="")
                | ~Q(post__in=sorted(UNIT_POSTS)) & Q(unit_code=""),
            ),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="incompatible_posts",
                when=pgtrigger.After,
                operation=pgtrigger.Insert | pgtrigger.Update,
                declare=[("clash", "text"), ("me", "uuid")],
                func=pgtrigger.Func(
                    """
                    SELECT other.post INTO clash
                      FROM parties_postassignment other
                      JOIN parties_user mine ON mine.id = NEW.user_id
                      JOIN parties_user theirs ON theirs.id = other.user_id AND theirs.person_id = mine.person_id
                     WHERE other.id <> NEW.id
                       AND COALESCE(other.valid_to, 'infinity') >= NEW.valid_from
                       AND COALESCE(NEW.valid_to, 'infinity') >= other.valid_from
                       AND ((NEW.post, other.post) IN ("""
                    + _PAIRS
                    + """)
                            OR (other.user_id = NEW.user_id AND NEW.post <> other.post AND NEW.unit_code <> ''
                                AND other.unit_code <> '' AND NEW.unit_code <> other.unit_code))
                     LIMIT 1;
                    SELECT person_id INTO me FROM parties_user WHERE id = NEW.user_id;
                    IF clash IS NULL AND EXISTS (SELECT 1 FROM parties_delegation d
                                                  WHERE d.revoked_at IS NULL
                                                    AND (d.delegator_id = me OR d.delegate_person_id = me)) THEN
                        -- while one acts for the other, they count as one person
                        SELECT other.post INTO clash
                          FROM parties_delegation d
                          JOIN parties_user theirs
                            ON theirs.person_id = CASE WHEN d.delegator_id = me THEN d.delegate_person_id
                                                       ELSE d.delegator_id END
                          JOIN parties_postassignment other ON other.user_id = theirs.id
                         WHERE d.revoked_at IS NULL AND (d.delegator_id = me OR d.delegate_person_id = me)
                           AND GREATEST(NEW.valid_from, d.valid_from, other.valid_from)
                               <= LEAST(COALESCE(NEW.valid_to, 'infinity'), d.valid_to,
                                        COALESCE(other.valid_to, 'infinity'))
                           AND (NEW.post, other.post) IN ("""
                    + _PAIRS
                    + """)
                         LIMIT 1;
                    END IF;
                    IF clash IS NOT NULL THEN
                        RAISE EXCEPTION 'posts % and % may not be held by one person', NEW.post, clash
                              USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                    """
                ),
            )
        ]

    def __str__(self) -> str:
        return f"{self.user} {self.get_post_display()}"


class Delegation(models.Model):
    """委托: the holder of a reviewing post lets another person act for him, from one date to another.

    Whoever acts does so as himself "代" the holder: with his own log-in and UKey, with his own conflicts and the
    holder's. It says where it held and when; only its end is ever written to it, once.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    adm_div_code = models.CharField(max_length=9)
    assignment = models.ForeignKey(PostAssignment, models.PROTECT, related_name="delegations")
    post = models.CharField("岗位", max_length=24, choices=Post)
    delegator = models.ForeignKey(Person, models.PROTECT, related_name="+")
    delegate = models.ForeignKey(User, models.PROTECT, related_name="delegations")
    delegate_person = models.ForeignKey(Person, models.PROTECT, related_name="+")
    valid_from = models.DateField("起始日期")
    valid_to = models.DateField("截止日期")
    reason = models.CharField("事由", max_length=100)
    granted_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.CharField(max_length=60, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "委托"
        indexes = [
            models.Index(fields=["delegate_person", "valid_to"], name="delegation_to"),
            models.Index(fields=["delegator", "valid_to"], name="delegation_by"),
        ]
        constraints = [
            models.CheckConstraint(name="delegation_to_another", condition=~Q(delegator=F("delegate_person"))),
            models.CheckConstraint(name="delegation_dates", condition=Q(valid_to__gte=F("valid_from"))),
            models.CheckConstraint(name="delegation_of_reviewing", condition=Q(post__in=sorted(DELEGABLE))),
        ]
        triggers = [
            witnessed("delegation.granted"),
            witnessed(
                "delegation.revoked",
                condition="former.revoked_at IS NULL AND fact.revoked_at IS NOT NULL",
                operation=pgtrigger.Update,
            ),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="revoked_once",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__revoked_at__isnull=False)
                | any_changed(
                    *("adm_div_code", "assignment", "post", "delegator", "delegate", "delegate_person"),
                    *("valid_from", "valid_to", "reason", "granted_at"),
                ),
            ),
            pgtrigger.Trigger(
                name="delegation_holds",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                declare=[("clash", "TEXT")],
                func=pgtrigger.Func(
                    """
                    PERFORM 1 FROM parties_person WHERE id IN (NEW.delegator_id, NEW.delegate_person_id)
                      ORDER BY id FOR UPDATE;
                    IF NOT EXISTS (
                        SELECT 1 FROM parties_postassignment a JOIN parties_user u ON u.id = a.user_id
                          JOIN parties_user t ON t.id = NEW.delegate_id
                         WHERE a.id = NEW.assignment_id AND a.post = NEW.post AND u.person_id = NEW.delegator_id
                           AND t.person_id = NEW.delegate_person_id AND t.adm_div_code = NEW.adm_div_code
                           AND a.adm_div_code = NEW.adm_div_code AND a.valid_from <= NEW.valid_from
                           AND COALESCE(a.valid_to, 'infinity') >= NEW.valid_to) THEN
                        RAISE EXCEPTION 'what is delegated is not held for the whole period'
                              USING ERRCODE = 'check_violation';
                    END IF;
                    SELECT a.post INTO clash
                      FROM parties_postassignment a JOIN parties_user u ON u.id = a.user_id
                      JOIN parties_user v ON v.person_id = NEW.delegate_person_id
                      JOIN parties_postassignment b ON b.user_id = v.id
                     WHERE u.person_id = NEW.delegator_id
                       AND GREATEST(a.valid_from, b.valid_from, NEW.valid_from)
                           <= LEAST(COALESCE(a.valid_to, 'infinity'), COALESCE(b.valid_to, 'infinity'), NEW.valid_to)
                       AND (a.post, b.post) IN ("""
                    + _PAIRS
                    + """)
                     LIMIT 1;
                    IF clash IS NOT NULL THEN
                        RAISE EXCEPTION 'the delegate holds a post that may not be combined with %', clash
                              USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                    """
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.delegate_person} 代 {self.delegator} {self.get_post_display()}"


class EmergencyPost(models.Model):
    """应急岗位: a post given for at most 24 hours by two persons, neither of whom is the one who gets it.

    The assignment beside it makes every rule for posts hold; that it ends by the hour stands here.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    assignment = models.OneToOneField(PostAssignment, models.PROTECT, related_name="emergency")
    reason = models.CharField("事由", max_length=200)
    asked_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField()
    granted_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    granted_at = models.DateTimeField()
    ends_at = models.DateTimeField("失效时间")

    class Meta:
        verbose_name = verbose_name_plural = "应急岗位"
        constraints = [
            models.CheckConstraint(name="emergency_by_two", condition=~Q(asked_by=F("granted_by"))),
            models.CheckConstraint(
                name="emergency_ends_in_a_day",
                condition=Q(ends_at__gt=F("granted_at")) & Q(ends_at__lte=F("granted_at") + timedelta(hours=24)),
            ),
        ]
        triggers = [
            append_only(),
            witnessed("emergency.granted"),
            pgtrigger.Trigger(
                name="emergency_for_another",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func=pgtrigger.Func(
                    """
                    IF EXISTS (SELECT 1 FROM parties_postassignment a JOIN parties_user u ON u.id = a.user_id
                                WHERE a.id = NEW.assignment_id
                                  AND (u.person_id IN (NEW.asked_by_id, NEW.granted_by_id) OR a.valid_to IS NULL
                                       OR a.valid_to > a.valid_from + 1)) THEN
                        RAISE EXCEPTION 'an emergency post is given by two others and ends within a day'
                              USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                    """
                ),
            ),
        ]


class EmergencyAsk(models.Model):
    """A post that one administrator asks for in an emergency, until another gives or declines it."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    adm_div_code = models.CharField(max_length=9)
    user = models.ForeignKey(User, models.PROTECT, related_name="+")
    post = models.CharField("岗位", max_length=24, choices=Post)
    unit_code = models.CharField("单位", max_length=15, blank=True)
    section = models.CharField("科室", max_length=20, blank=True)
    hours = models.PositiveSmallIntegerField("小时数")
    reason = models.CharField("事由", max_length=200)
    asked_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = verbose_name_plural = "应急岗位申请"
        constraints = [
            models.CheckConstraint(name="emergency_hours", condition=Q(hours__gte=1) & Q(hours__lte=24)),
        ]
        triggers = [pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete)]


@pghistory.track(meta=recorded("parties_reviewchain"))
class ReviewChain(models.Model):
    """审核链: one version of one profile: for which documents, and the ordered nodes they pass.

    A profile is a kind of document and a name; at most one version of it is in force. Of the profiles of a kind the
    narrowest whose conditions hold is chosen (`parties.chain_rules`); the default has no conditions and is always
    there. What is written once stays: a change is another version, and running documents keep theirs.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    adm_div_code = models.CharField(max_length=9)
    document_kind = models.CharField("单据", max_length=24)
    name = models.CharField("名称", max_length=40, default="默认")
    version = models.PositiveSmallIntegerField(default=1)
    state = models.CharField("状态", max_length=8, choices=ChainState, default=ChainState.DRAFT)
    conditions = models.JSONField("适用条件", default=dict, blank=True)
    is_default = models.BooleanField(default=True)
    priority = models.PositiveSmallIntegerField("优先级", default=0)
    note = models.CharField("说明", max_length=200, blank=True)
    drafted_by = models.ForeignKey(Person, models.PROTECT, related_name="+", null=True)
    drafted_at = models.DateTimeField(null=True)
    activated_by = models.ForeignKey(Person, models.PROTECT, related_name="+", null=True)
    activated_at = models.DateTimeField(null=True)
    retired_at = models.DateTimeField(null=True)
    imported = models.BooleanField("期初导入", default=False)

    class Meta:
        verbose_name = verbose_name_plural = "审核链"
        constraints = [
            models.UniqueConstraint(
                fields=["adm_div_code", "document_kind", "name", "version"], name="chain_version_once"
            ),
            models.UniqueConstraint(
                fields=["adm_div_code", "document_kind", "name"],
                condition=Q(state=ChainState.ACTIVE),
                name="one_active_chain",
            ),
            models.UniqueConstraint(
                fields=["adm_div_code", "document_kind"],
                condition=Q(state=ChainState.ACTIVE, is_default=True),
                name="one_default_chain",
            ),
            # Four eyes: what one administrator has drafted another puts in force.
            models.CheckConstraint(
                name="chain_activated_by_another",
                condition=Q(activated_at__isnull=True)
                | Q(imported=True)
                | (Q(drafted_by__isnull=False) & Q(activated_by__isnull=False) & ~Q(activated_by=F("drafted_by"))),
            ),
            models.CheckConstraint(
                name="chain_active_was_activated",
                condition=~Q(state=ChainState.ACTIVE) | Q(activated_at__isnull=False),
            ),
        ]
        triggers = [
            CHAIN_FLOW.trigger("chain_moves"),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="chain_stays",
                operation=pgtrigger.Update,
                condition=any_changed(
                    *("adm_div_code", "document_kind", "name", "version", "conditions", "is_default", "priority"),
                    *("drafted_by", "drafted_at", "imported"),
                ),
            ),
            pgtrigger.Trigger(
                name="default_has_no_conditions",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                condition=pgtrigger.Condition("((NEW.conditions = '{}'::jsonb) <> NEW.is_default)"),
                func="RAISE EXCEPTION 'the default chain is the one without conditions' "
                "USING ERRCODE = 'check_violation';",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.document_kind} {self.name} v{self.version}"


class ReviewNode(models.Model):
    """One node: who reviews there, how many persons, for which amounts, and until when.

    Nodes never change, and only a draft takes any: another sequence is another version of the chain.
    """

    chain = models.ForeignKey(ReviewChain, models.PROTECT, related_name="nodes")
    ordinal = models.PositiveSmallIntegerField()
    post = models.CharField(max_length=24, choices=Post)
    amount_from = MoneyField("起点金额", default=0)
    amount_to = MoneyField("金额上限（不含）", null=True, blank=True)
    countersign = models.PositiveSmallIntegerField("会签人数", default=1)
    skip_if = models.JSONField("跳过条件", default=dict, blank=True)
    due_hours = models.PositiveSmallIntegerField("时限（工作小时）", null=True, blank=True)
    remind_hours = models.PositiveSmallIntegerField("提前提醒（工作小时）", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "审核节点"
        ordering = ["ordinal"]
        constraints = [
            models.UniqueConstraint(fields=["chain", "ordinal"], name="one_node_per_ordinal"),
            models.CheckConstraint(name="node_countersign", condition=Q(countersign__gte=1) & Q(countersign__lte=9)),
            models.CheckConstraint(
                name="node_amounts", condition=Q(amount_to__isnull=True) | Q(amount_to__gt=F("amount_from"))
            ),
        ]
        triggers = [
            append_only("node_stays"),
            pgtrigger.Trigger(
                name="nodes_of_drafts",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func=pgtrigger.Func(
                    """
                    IF NOT EXISTS (SELECT 1 FROM parties_reviewchain c WHERE c.id = NEW.chain_id AND c.state = 'draft')
                    THEN
                        RAISE EXCEPTION 'a chain in force takes no more nodes' USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                    """
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.ordinal} {self.get_post_display()}"


class ReviewSkip(RegionYearModel):
    """A node that a document's revision need not pass because nobody held its post when it was submitted. Append-only.

    Written down, so that the signer and the audit find later what was so then.
    """

    document_type = models.CharField(max_length=40)
    document_id = models.UUIDField()
    revision = models.PositiveSmallIntegerField()
    node = models.ForeignKey(ReviewNode, models.PROTECT)
    unit_code = models.CharField(max_length=15)
    day = models.DateField()
    at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "空缺跳过"
        constraints = [
            models.UniqueConstraint(fields=["document_id", "revision", "node"], name="node_skipped_once"),
        ]
        triggers = [
            append_only(),
            witnessed("review.skipped", region="adm_div_code", year="fiscal_year"),
            pgtrigger.Trigger(
                name="skip_allowed",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func=pgtrigger.Func(
                    """
                    IF NOT EXISTS (SELECT 1 FROM parties_reviewnode n
                                    WHERE n.id = NEW.node_id AND n.skip_if->'post_vacant' = 'true'::jsonb)
                       OR EXISTS (
                        SELECT 1 FROM parties_reviewnode n
                          JOIN parties_postassignment a ON a.post = n.post AND a.adm_div_code = NEW.adm_div_code
                          JOIN parties_user u ON u.id = a.user_id AND u.is_active
                          LEFT JOIN parties_budgetunit b
                            ON b.adm_div_code = NEW.adm_div_code AND b.code = NEW.unit_code
                         WHERE n.id = NEW.node_id AND a.unit_code IN ('', NEW.unit_code)
                           AND a.section IN ('', COALESCE(b.section, ''))
                           AND NEW.day BETWEEN a.valid_from AND COALESCE(a.valid_to, 'infinity')) THEN
                        RAISE EXCEPTION 'this node may not be skipped' USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                    """
                ),
            ),
        ]


class ReviewDecision(RegionYearModel):
    """审核意见: one person's decision on one revision of one document at one node. Append-only.

    `content_digest` (SM3, hex) is of what was shown; it must equal the document's when the voucher is sealed.
    """

    class Decision(models.TextChoices):
        APPROVE = "approve", "通过"
        RETURN = "return", "退回"
        REJECT = "reject", "否决"

    document_type = models.CharField(max_length=40)
    document_id = models.UUIDField()
    revision = models.PositiveSmallIntegerField()
    ordinal = models.PositiveSmallIntegerField()
    post = models.CharField(max_length=24, choices=Post)
    decision = models.CharField(max_length=8, choices=Decision)
    reason_code = models.CharField(max_length=40, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    content_digest = models.CharField(max_length=64)
    person = models.ForeignKey(Person, models.PROTECT)
    actor_name = models.CharField(max_length=60)
    signature_id = models.UUIDField("单据签名", null=True)  # seals.StepSignature; the register stands above us
    seat = models.PositiveSmallIntegerField("会签席次", default=1)
    delegation = models.ForeignKey(Delegation, models.PROTECT, null=True)
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["document_id", "revision", "ordinal"], name="decision_document")]
        constraints = [
            # A node has as many seats as it asks for persons; two decisions at once want the same one.
            models.UniqueConstraint(
                fields=["document_id", "revision", "ordinal", "seat"], name="one_decision_per_seat"
            ),
            models.UniqueConstraint(
                fields=["document_id", "revision", "person"], name="one_person_decides_once_per_revision"
            ),
        ]
        triggers = [
            append_only(),
            witnessed("review.decided", region="adm_div_code", year="fiscal_year"),
            witnessed(
                "review.delegated",
                region="adm_div_code",
                year="fiscal_year",
                condition="fact.delegation_id IS NOT NULL",
            ),
            pgtrigger.Trigger(
                name="acts_once_also_by_delegate",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                declare=[("holder", "UUID")],
                func=pgtrigger.Func(
                    """
                    IF NEW.delegation_id IS NOT NULL THEN
                        SELECT d.delegator_id INTO holder
                          FROM parties_delegation d
                          JOIN parties_postassignment a ON a.id = d.assignment_id
                          LEFT JOIN core_businessday b ON b.adm_div_code = d.adm_div_code AND b.closed_at IS NULL
                         WHERE d.id = NEW.delegation_id AND d.delegate_person_id = NEW.person_id
                           AND d.post = NEW.post AND d.adm_div_code = NEW.adm_div_code AND d.revoked_at IS NULL
                           AND COALESCE(b.date, (NEW.at AT TIME ZONE 'Asia/Shanghai')::date)
                               BETWEEN d.valid_from AND LEAST(d.valid_to, COALESCE(a.valid_to, 'infinity'));
                        IF holder IS NULL THEN
                            RAISE EXCEPTION 'this delegation does not hold' USING ERRCODE = 'check_violation';
                        END IF;
                    END IF;
                    IF EXISTS (SELECT 1 FROM parties_reviewdecision o
                                 LEFT JOIN parties_delegation g ON g.id = o.delegation_id
                                WHERE o.document_id = NEW.document_id AND o.revision = NEW.revision
                                  AND (o.person_id = holder OR g.delegator_id IN (NEW.person_id, holder))) THEN
                        RAISE EXCEPTION 'a person decides once on a revision, also by a delegate'
                              USING ERRCODE = 'unique_violation';
                    END IF;
                    RETURN NEW;
                    """
                ),
            ),
            pgtrigger.Trigger(
                name="signed_where_required",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                condition=pgtrigger.Q(new__signature_id__isnull=True),
                func=pgtrigger.Func(
                    """
                    IF EXISTS (SELECT 1 FROM parties_region r
                                WHERE r.adm_div_code = NEW.adm_div_code AND r.ukey_required) THEN
                        RAISE EXCEPTION 'a decision in region % needs a signature', NEW.adm_div_code
                              USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                    """
                ),
            ),
        ]

"""Who there is: regions, units, banks, accounts, people and the posts they hold."""

import pghistory
import pgtrigger
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q

from core.ids import new_id
from core.models import RegionYearModel, append_only
from core.money import MoneyField
from evidence.history import recorded
from evidence.triggers import witnessed
from parties.duties import UNIT_POSTS, Post, forbidden_pairs


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

    class Meta:
        verbose_name = verbose_name_plural = "人员"

    def __str__(self) -> str:
        return self.name


class User(AbstractUser):
    """A log-in; a person may have several, and they count as one person."""

    person = models.ForeignKey(Person, models.PROTECT, null=True, blank=True, related_name="users")
    adm_div_code = models.CharField(max_length=9, blank=True)


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
                declare=[("clash", "text")],
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
                    + ", ".join(f"('{post}', '{other}')" for post, other in forbidden_pairs())
                    + """)
                            OR (other.user_id = NEW.user_id AND NEW.post <> other.post AND NEW.unit_code <> ''
                                AND other.unit_code <> '' AND NEW.unit_code <> other.unit_code))
                     LIMIT 1;
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


class ReviewChain(models.Model):
    """审核链: the ordered nodes a kind of document passes. Running documents keep the chain they started with."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    adm_div_code = models.CharField(max_length=9)
    document_kind = models.CharField(max_length=24)
    version = models.PositiveSmallIntegerField(default=1)
    active = models.BooleanField(default=True)

    class Meta:
        verbose_name = verbose_name_plural = "审核链"
        constraints = [
            models.UniqueConstraint(fields=["adm_div_code", "document_kind", "version"], name="chain_version_once"),
            models.UniqueConstraint(
                fields=["adm_div_code", "document_kind"], condition=Q(active=True), name="one_active_chain"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.document_kind} v{self.version}"


class ReviewNode(models.Model):
    """One node: who reviews there, and from which amount on the node is needed.

    Nodes never change: another sequence is another version of the chain, and running documents keep theirs.
    """

    chain = models.ForeignKey(ReviewChain, models.PROTECT, related_name="nodes")
    ordinal = models.PositiveSmallIntegerField()
    post = models.CharField(max_length=24, choices=Post)
    amount_from = MoneyField("起点金额", default=0)

    class Meta:
        verbose_name = verbose_name_plural = "审核节点"
        ordering = ["ordinal"]
        constraints = [models.UniqueConstraint(fields=["chain", "ordinal"], name="one_node_per_ordinal")]
        triggers = [append_only("node_stays")]

    def __str__(self) -> str:
        return f"{self.ordinal} {self.get_post_display()}"


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
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["document_id", "revision", "ordinal"], name="decision_document")]
        constraints = [
            models.UniqueConstraint(fields=["document_id", "revision", "ordinal"], name="one_decision_per_node"),
            models.UniqueConstraint(
                fields=["document_id", "revision", "person"], name="one_person_decides_once_per_revision"
            ),
        ]
        triggers = [
            append_only(),
            witnessed("review.decided", region="adm_div_code", year="fiscal_year"),
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

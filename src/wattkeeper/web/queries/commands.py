"""The pages one can go to by name, in either language whatever the page's own."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from wattkeeper.security.rights import Right
from wattkeeper.security.values import Principal
from wattkeeper.web.language import LOCALES, language
from wattkeeper.web.queries.states import N_


@dataclass(frozen=True, slots=True)
class Command:
    """A page, its name, and the right it needs; None for everybody's."""

    address: str
    label: str
    right: Right | None
    also: str = ""
    """Other words people look for."""


COMMANDS: Final = (
    Command("/", N_("Overview"), Right.METERS_VIEW, "home dashboard 首页 主页"),
    Command("/alarms", N_("Alarms"), Right.ALARMS_VIEW, "告警 warnings"),
    Command("/meters", N_("Meters"), Right.METERS_VIEW, "电能表"),
    Command("/meters?state=silent", N_("Silent meters"), Right.METERS_VIEW, "offline 离线 失联 不在线"),
    Command("/areas", N_("Areas"), Right.METERS_VIEW, "transformer feeder 变压器 线路"),
    Command("/links", N_("Links"), Right.LINKS_VIEW, "serial port concentrator 串口 集中器 采集"),
    Command(
        "/collection",
        N_("Reading quality"),
        Right.LINKS_VIEW,
        "success failures retries latency 成功率 失败 重试 采集",
    ),
    Command(
        "/monitor", N_("Bus monitor"), Right.LINKS_VIEW, "frames live traffic sniffer 报文 监听 总线 监视"
    ),
    Command(
        "/plans",
        N_("Reading plans"),
        Right.LINKS_VIEW,
        "schedule period jitter window 抄读 计划 方案 周期 采集任务",
    ),
    Command(
        "/clocks", N_("Clocks"), Right.METERS_VIEW, "clock supervision time deviation 时钟 校时 对时 偏差"
    ),
    Command("/recordings", N_("Recordings"), Right.LINKS_VIEW, "record replay trace 录制 录包 回放"),
    Command("/frames", N_("Frames"), Right.METERS_VIEW, "DL/T 645 protocol 报文 解析"),
    Command("/commands", N_("Commands"), Right.COMMANDS_VIEW, "trip close relay 跳闸 合闸 保电 控制 命令"),
    Command(
        "/commands/new", N_("New command"), Right.COMMANDS_ASK, "trip close relay 跳闸 合闸 保电 校时 下发"
    ),
    Command("/commands/standing", N_("Standing orders"), Right.COMMANDS_STANDING, "常设指令 授权 欠费 催费"),
    Command("/customers", N_("Customers"), Right.CUSTOMERS_VIEW, "客户"),
    Command("/accounts", N_("Accounts"), Right.CUSTOMERS_VIEW, "contracts 户号"),
    Command("/bills", N_("Bills"), Right.BILLS_VIEW, "invoices payments 缴费 收费"),
    Command("/payments", N_("Payments"), Right.BILLS_VIEW, "receipts 收费 收据"),
    Command("/tariffs", N_("Tariffs"), Right.TARIFFS_VIEW, "prices 价格 分时"),
    Command("/import", N_("Import"), Right.REGISTRY_EDIT, "upload Excel CSV 档案 上传"),
    Command("/jobs", N_("Jobs"), Right.JOBS_VIEW, "tasks progress 进度"),
    Command("/users", N_("Users"), Right.USERS_MANAGE, "roles rights 权限 账号"),
    Command("/audit", N_("Audit"), Right.AUDIT_VIEW, "log history 日志 审计"),
    Command("/api", N_("API"), Right.TOKENS_OWN, "interface 接口"),
    Command("/meters/new", N_("New meter"), Right.REGISTRY_EDIT, "add 添加"),
    Command("/links/-/new", N_("New link"), Right.REGISTRY_EDIT, "add 添加"),
    Command("/plans/-/new", N_("New plan"), Right.PLANS_EDIT, "add schedule 添加 抄读 计划"),
    Command("/customers/new", N_("New customer"), Right.CUSTOMERS_EDIT, "add 添加"),
    Command("/users/new", N_("New user"), Right.USERS_MANAGE, "add 添加"),
    Command("/users/roles", N_("What each role may do"), Right.USERS_MANAGE, "rights 权限 角色"),
    Command("/areas/unassigned", N_("Points without an area"), Right.METERS_VIEW, "unassigned 未划分"),
    Command("/notices", N_("Notices"), Right.NOTICES_MANAGE, "mail e-mail SMTP 邮件"),
    Command("/profile", N_("Profile"), None, "sessions tokens 令牌 会话 个人"),
    Command("/password", N_("Change password"), None, "密码 修改"),
)


def matching(text: str, principal: Principal) -> Iterator[Command]:
    """The pages that somebody may open and whose names hold all words; all of them without a word."""
    words = text.lower().split()
    for command in COMMANDS:
        if command.right is not None and not principal.may(command.right):
            continue
        named = " ".join([*(language(code).text(command.label) for code in LOCALES), command.also]).lower()
        if all(word in named for word in words):
            yield command

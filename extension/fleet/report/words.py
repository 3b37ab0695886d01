"""The words that the fleet report says itself; those that the triage report has too are in extension/report/words.py."""

from __future__ import annotations

from extension.report.words import words as report_words

# key: (English, Chinese)
_WORDS = {
    "semicolon": ("; ", "；"),
    "fleet_report": ("Cryptominers in the fleet", "主机群挖矿木马报告"),
    "campaigns": ("Campaigns", "攻击活动"),
    "campaign": ("Campaign", "攻击活动"),
    "incidents": ("Hosts with findings", "有发现的主机"),
    "rare": ("Rare things", "罕见项"),
    "next": ("Who may be next", "可能的下一批目标"),
    "coverage": ("Who was heard", "覆盖情况"),
    "alike": ("Same finding on many hosts", "多台主机的相同发现"),
    "hosts": ("hosts", "主机"),
    "reporting": ("reporting", "正常上报"),
    "silent": ("silent", "失联"),
    "blind": ("without minehunt", "未运行 minehunt"),
    "compromised_hosts": ("compromised", "已失陷"),
    "suspicious_hosts": ("with weak findings", "仅有弱发现"),
    "without_findings": ("heard, nothing found", "已上报且无发现"),
    "half_known": ("known in part", "仅部分可知"),
    "was_compromised": ("compromised before", "曾失陷"),
    "host": ("host", "主机"),
    "severity": ("severity", "级别"),
    "confidence": ("confidence", "可信度"),
    "sure_high": ("high", "高"),
    "sure_medium": ("medium", "中"),
    "sure_low": ("low", "低"),
    "began": ("began", "开始时间"),
    "over_since": ("no longer found since", "此后不再发现"),
    "first_host": ("First host", "首台主机"),
    "came_in": ("How it came in", "入侵方式"),
    "spread": ("How it spread", "扩散过程"),
    "shared": ("What its hosts share", "共同特征"),
    "variants": ("What differs from host to host", "各主机不同之处"),
    "different": ("different", "种"),
    "logins": ("Logins between its hosts", "主机间登录"),
    "outside": ("Logins to it from outside", "来自外部的登录"),
    "hides": ("Where it hides", "隐藏方式"),
    "block": ("Block and hunt for", "应封锁并搜寻"),
    "mines": ("mining", "挖矿"),
    "not_known": ("not known", "未知"),
    "more": ("more", "更多"),
    "of_hosts": ("of", "/"),
    "new": ("new", "新出现"),
    "was_there": ("there from the start", "一直存在"),
    "since": ("since", "自"),
    "kind": ("kind", "类型"),
    "why": ("why", "原因"),
    "last_heard": ("last heard", "最后上报"),
    "what": ("what", "内容"),
    "score": ("score", "得分"),
    "sources": ("Read", "读取"),
    "lines": ("lines", "行"),
    "files": ("files", "个文件"),
    "broken": ("broken", "损坏"),
    "nobody": ("none", "无"),
    "silence_means": ("silent: not heard for {hours} hours before {now}", "失联：在 {now} 之前 {hours} 小时未上报"),
    "all_heard": (
        "nobody is silent: all hosts were heard in the {hours} hours before {now}",
        "无主机失联：在 {now} 之前 {hours} 小时内均有上报",
    ),
    "no_heartbeat": (
        "These logs have no regular heartbeat: a quiet host and a dead one look alike. Schedule minehunt_loaded.",
        "日志中没有定期心跳，无法区分安静的主机与失联的主机。请调度 minehunt_loaded。",
    ),
    "rare_means": (
        "What few hosts have and no other, after leaving out host names and numbers. Not findings: things to ask about.",
        "去除主机名和数字后仅少数主机拥有的内容。这些不是告警，而是需要确认的事项。",
    ),
    "alike_means": (
        "One detection and nothing else on these hosts: a roll-out or a misfire until somebody says otherwise (known_good).",
        "这些主机上只有同一检测的发现：在确认之前视为软件下发或误报（可写入 known_good）。",
    ),
    "next_means": (
        "Hosts without a compromise that share a campaign's way in.",
        "尚未失陷、但与某攻击活动的入侵途径相同的主机。",
    ),
    # Why somebody may be next
    "login": ("login from", "登录自"),
    "key": ("key", "密钥"),
    "exposed": ("exposed service", "暴露的服务"),
    "reachable": ("reachable service", "可访问的服务"),
    # Kinds of things
    "wallet": ("wallet", "钱包"),
    "pool": ("pool", "矿池"),
    "address": ("address", "地址"),
    "pool_account": ("pool account", "矿池账号"),
    "hash": ("program hash", "程序哈希"),
    "command": ("command", "命令"),
    "image": ("image", "镜像"),
    "unit": ("unit", "服务单元"),
    "file": ("file", "文件"),
    "module": ("kernel module", "内核模块"),
    "account": ("account", "账号"),
    "folder": ("folder", "目录"),
    # Problems of a host's reporting
    "renamed": ("had another name before", "曾用其他名称"),
    "shared_name": ("another host has the same name", "与另一台主机同名"),
    "shared_uuid": ("another host has the same UUID", "与另一台主机 UUID 相同"),
    "clock_ahead": ("its clock is ahead", "时钟超前"),
    "clock_behind": ("its clock is behind", "时钟落后"),
    "new_identifier": ("sends under another identifier than before", "上报所用标识符与以前不同"),
    "clock_changed": ("its clock was set by a long way", "时钟被大幅调整"),
    "enrolled_again": ("began anew (reinstalled or enrolled again)", "重新开始上报（重装或重新注册）"),
    "old_version": ("older version of minehunt", "minehunt 版本较旧"),
    "lost_results": ("results that never arrived", "结果丢失"),
    "begins_in_the_middle": ("no full set in the logs: what was found before is not known", "日志中无完整结果集，此前的发现未知"),
    "starts_late": ("the logs begin after its first results", "日志缺少最初的结果"),
    "failing": ("queries that fail or are cut", "查询失败或被截断"),
    "no_root": ("without root", "无 root 权限"),
    "no_extension": ("no minehunt extension", "没有 minehunt 扩展"),
    "no_pack": ("nothing of the pack was ever heard", "从未收到查询包的任何结果"),
    "unhealthy": ("a table failed, was cut, or is blind (minehunt_healthy)", "有表失败、被截断或无法查看（minehunt_healthy）"),
    "denylisted": ("osquery denylists a query", "有查询被 osquery 列入黑名单"),
    "no_indicators": ("no list of pools is loaded", "未加载矿池清单"),
    "findings_cut": ("findings left out", "未列出的发现"),
}


# What is stacked (extension/fleet/columns.py), each one of its kind.
_RARE_KINDS = {
    "job": ("job", "计划任务"),
    "job file": ("job file", "计划任务文件"),
    "unit": ("unit", "服务单元"),
    "unit file": ("unit file", "服务单元文件"),
    "start-up command": ("start-up command", "自启动命令"),
    "start-up file": ("start-up file", "自启动文件"),
    "rc.local": ("rc.local command", "rc.local 命令"),
    "account": ("account", "账号"),
    "key": ("key", "密钥"),
    "setuid file": ("setuid file", "setuid 文件"),
    "kernel module": ("kernel module", "内核模块"),
    "listening service": ("listening service", "监听服务"),
    "listening port": ("listening port", "监听端口"),
    "containers": ("container", "容器"),
    "static_pods": ("static pod", "静态 Pod"),
    "packaged_files_changed": ("changed file of a package", "被修改的软件包文件"),
    "known_good_entries": ("known-good entry", "已知正常条目"),
}


def words(language: str) -> dict[str, str]:
    """Every word of the report in one language, the triage report's where this has none of its own."""
    column = 1 if language == "zh" else 0
    return {**report_words(language), **{key: both[column] for key, both in _WORDS.items()}}


def rare_kind(kind: str, language: str) -> str:
    """What a rare thing's kind is called; one of a pack of one's own has its query's name."""
    return _RARE_KINDS[kind][1 if language == "zh" else 0] if kind in _RARE_KINDS else kind


def plural(count: int, one: str) -> str:
    """`3 hosts`, `1 host`."""
    return f"{count:,} {one}{'' if count == 1 else 's'}"


def fleet_sentence(summary: dict[str, int], language: str) -> str:
    """The fleet in one sentence; hosts that were not heard are never among those without findings."""
    s = summary
    if language == "zh":
        text = f"{s['hosts']:,} 台主机中，{s['compromised']:,} 台已失陷"
        if s["in_campaigns"]:
            text += f"（其中 {s['in_campaigns']:,} 台属于 {s['campaigns']} 个攻击活动）"
        elif s["campaigns"]:
            text += f"（{s['campaigns']} 个攻击活动已不再发现）"
        text += f"，{s['without_findings']:,} 台已上报且无发现"
        if s["half_known"]:
            text += f"，{s['half_known']:,} 台无发现但仅部分可知（日志从中途开始、检测被列入黑名单或无 root 权限）"
        if s["suspicious"]:
            text += f"，{s['suspicious']:,} 台仅有弱发现"
        if s["was_compromised"]:
            text += f"，{s['was_compromised']:,} 台曾失陷但现已无发现"
        if s["silent"]:
            text += f"，{s['silent']:,} 台失联"
            text += f"（其中 {s['silent_with_findings']:,} 台此前有发现）" if s["silent_with_findings"] else ""
        return text + (f"，{s['blind']:,} 台未运行 minehunt。" if s["blind"] else "。")
    text = f"Of {plural(s['hosts'], 'host')}, {s['compromised']:,} {'is' if s['compromised'] == 1 else 'are'} compromised"
    if s["in_campaigns"]:
        text += f" ({s['in_campaigns']:,} of them in {plural(s['campaigns'], 'campaign')})"
    elif s["campaigns"]:
        text += f" ({plural(s['campaigns'], 'campaign')} no longer found)"
    text += f"; {s['without_findings']:,} reported and {'has' if s['without_findings'] == 1 else 'have'} no findings"
    if s["half_known"]:
        text += f", {s['half_known']:,} more have none as far as is known"
        text += " (logs that begin in the middle, a detection on the denylist, or no root)"
    if s["suspicious"]:
        text += f", {s['suspicious']:,} have only weak findings"
    if s["was_compromised"]:
        was = "was" if s["was_compromised"] == 1 else "were"
        text += f", {s['was_compromised']:,} {was} compromised and {'shows' if was == 'was' else 'show'} nothing of it now"
    if s["silent"]:
        text += f"; {s['silent']:,} {'was' if s['silent'] == 1 else 'were'} not heard of"
        if s["silent_with_findings"]:
            text += f" ({s['silent_with_findings']:,} of them with findings from before)"
    if s["blind"]:
        text += f"; on {s['blind']:,} minehunt does not run"
    return text + "."

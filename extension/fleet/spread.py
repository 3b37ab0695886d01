"""From where each campaign's hosts were logged in to: from one another, from other compromised hosts, and from outside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from extension.fleet.answers import Ground
from extension.fleet.campaigns import BEFORE, Campaign
from extension.fleet.logins import Asked, Login, logins, visits
from extension.fleet.shared_things import Shared, clean_hosts

_DAY = 86400
# So long after a host's findings, by the hours at which it is looked at, may still be told who brought them (seconds).
_AFTER = 6 * 3600


def tell_logins(ground: Ground, campaigns: Collection[Campaign], compromised: Collection[str], asked: Asked) -> list[Login]:
    """Give each campaign the logins that may have spread it; all logins from and to the campaigns' hosts within the fleet."""
    members = {campaign: {one.host.key for one in campaign.members} for campaign in campaigns}
    everybody = set().union(*members.values()) if members else set()
    if not everybody:
        return []
    inside, outside = logins(ground, everybody, asked)
    elsewhere = _nobody_elses(ground, outside, everybody | set(compromised))
    for campaign, keys in members.items():
        campaign.logins = tuple(
            login
            for login in inside
            if login.to in keys
            and (
                (login.source in keys and campaign.may_have_sent(login))
                or (login.source in compromised and _is_timely(campaign, login))
            )
        )
        to_it = [login for login in elsewhere if login.to in keys]
        regular = _regular(campaign, to_it)
        campaign.outside = tuple(each for each in to_it if each.source not in regular and _is_timely(campaign, each))
    further = visits(ground, {each.source for campaign in members for each in campaign.outside}, asked)
    for campaign, keys in members.items():
        addresses = {each.source for each in campaign.outside}
        campaign.visits = tuple(
            each
            for each in further
            if each.source in addresses and each.to not in keys and (not each.time or each.time >= (campaign.began or 0) - BEFORE)
        )
    return inside


def _nobody_elses(ground: Ground, outside: Iterable[Login], fallen: set[str]) -> list[Login]:
    """Those of the logins from outside from where no more hosts that did not fall are logged in to."""
    hosts: dict[Shared, set[str]] = defaultdict(set)
    for login in outside:
        hosts[Shared("address", login.source)].add(login.to)
    clean = clean_hosts(ground, hosts, fallen)
    return [each for each in outside if clean.get(thing := Shared("address", each.source), 0) <= len(hosts[thing])]


def _is_timely(campaign: Campaign, login: Login) -> bool:
    """Whether a login came when the campaign came to the host; an incident's responders come later."""
    began = campaign.began_on(login.to)
    return not login.time or not began or -BEFORE <= login.time - began <= _AFTER


def _regular(campaign: Campaign, logins: Iterable[Login]) -> set[str]:
    """Sources that were at home before: of an administrator, a backup server, a scanner."""
    before: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for login in logins:
        began = campaign.began_on(login.to)
        if login.time and began and login.time < began - BEFORE:
            before[login.source].add((login.to, login.time // _DAY))
    return {source for source, visits in before.items() if len(visits) > 1}

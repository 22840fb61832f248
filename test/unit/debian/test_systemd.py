"""What a recipe generates for a system that systemd starts."""

from __future__ import annotations

from assembler.debian.accounts import GROUPS_LIST, USERS_LIST, account_files
from assembler.debian.systemd import is_systemd_input, system_accounts, systemd_files

UNITS = "usr/lib/systemd/system"
WANTED = b"[Unit]\nDescription=x\n[Service]\nExecStart=/x\n[Install]\nWantedBy=multi-user.target\n"


def links_of(units: dict[str, bytes]) -> dict[str, str]:
    """Return the links that enable units."""
    contents = {f"{UNITS}/{name}": content for name, content in units.items()}
    made = systemd_files(contents, {"usr/sbin/ldconfig"}).links
    return {
        path.removeprefix("etc/systemd/system/"): target.removeprefix("/")
        for path, target in made.items()
        if target.startswith(f"/{UNITS}")
    }


def test_init_is_systemd_and_the_first_boot_asks_nothing() -> None:
    made = systemd_files({}, ())
    assert made.links["init"] == "usr/lib/systemd/systemd"
    assert made.links["etc/systemd/system/systemd-firstboot.service"] == "/dev/null"
    assert made.links["etc/systemd/system/ldconfig.service"] == "/dev/null"
    assert made.files["etc/machine-id"] == b"uninitialized\n"
    # With it, Dolmen makes an early initrd.
    assert made.files["usr/lib/dolmen/early-modules"].startswith(b"#")
    assert (
        "etc/systemd/system/ldconfig.service" not in systemd_files({}, {"usr/sbin/ldconfig"}).links
    )


def test_units_are_enabled_as_their_install_sections_say() -> None:
    links = links_of(
        {
            "web.service": WANTED,
            "plain.service": b"[Service]\nExecStart=/x\n",
            "db.service": b"[Install]\nRequiredBy=a.target b.target\nAlias=sql.service\n",
            "commented.service": b"[Install]\n# WantedBy=multi-user.target\n",
        }
    )
    assert links == {
        "multi-user.target.wants/web.service": f"{UNITS}/web.service",
        "a.target.requires/db.service": f"{UNITS}/db.service",
        "b.target.requires/db.service": f"{UNITS}/db.service",
        "sql.service": f"{UNITS}/db.service",
    }


def test_a_template_is_enabled_for_its_default_instance_only() -> None:
    links = links_of(
        {
            "getty@.service": b"[Install]\nWantedBy=getty.target\nDefaultInstance=tty1\n",
            "user@.service": b"[Install]\nWantedBy=multi-user.target\n",
        }
    )
    assert links == {"getty.target.wants/getty@tty1.service": f"{UNITS}/getty@.service"}


def test_a_socket_beside_its_service_stays_disabled_also_on_the_first_boot() -> None:
    contents = {
        f"{UNITS}/ssh.service": WANTED,
        f"{UNITS}/ssh.socket": b"[Install]\nWantedBy=sockets.target\n",
    }
    made = systemd_files(contents, ())
    assert "etc/systemd/system/sockets.target.wants/ssh.socket" not in made.links
    # systemd applies presets on its first boot.
    assert made.files["etc/systemd/system-preset/95-image.preset"] == b"disable ssh.socket\n"


def test_the_first_preset_that_matches_counts() -> None:
    presets = {
        "etc/systemd/system-preset/10-mine.preset": b"enable web.service\nenable ssh.socket\n",
        "usr/lib/systemd/system-preset/90-systemd.preset": b"# all\ndisable web*\ndisable db.*\n",
    }
    units = {f"{UNITS}/{name}": WANTED for name in ("web.service", "web2.service", "db.service")}
    sockets = {f"{UNITS}/ssh.service": WANTED, f"{UNITS}/ssh.socket": WANTED}
    made = systemd_files(presets | units | sockets, ())
    enabled = {p.rpartition("/")[2] for p, to in made.links.items() if to.startswith(f"/{UNITS}")}
    assert enabled == {"web.service", "ssh.service", "ssh.socket"}


def test_names_that_lead_elsewhere_are_ignored() -> None:
    hostile = b"[Install]\nWantedBy=../../../../root.target %i.target\nAlias=../x.service\n"
    assert links_of({"bad.service": hostile}) == {}
    assert not is_systemd_input("usr/lib/systemd/system/a/b.service")


def test_templates_are_copied_and_pam_is_configured() -> None:
    contents = {
        "usr/share/openssh/sshd_config": b"UsePAM yes\n",
        "usr/share/base-files/nsswitch.conf": b"hosts: files dns\n",
        "usr/share/pam/common-session": b"$session_primary\n",
    }
    files = systemd_files(contents, ()).files
    assert files["etc/ssh/sshd_config"] == b"UsePAM yes\n"
    assert files["etc/nsswitch.conf"] == b"hosts: files dns\n"
    assert b"pam_deny.so" in files["etc/pam.d/common-auth"]
    assert b"pam_systemd.so" not in files["etc/pam.d/common-session"]
    contents["usr/share/pam-configs/systemd"] = b"Name: x\n"
    files = systemd_files(contents, ()).files
    assert files["etc/pam.d/common-session"].endswith(b"session optional pam_systemd.so\n")
    assert b"pam_systemd.so" not in files["etc/pam.d/common-session-noninteractive"]


MASTER = {
    USERS_LIST: b"root:*:0:0:root:/root:/bin/bash\n"
    b"man:*:6:12:man:/var/cache/man:/usr/sbin/nologin\n",
    GROUPS_LIST: b"root:*:0:\nman:*:12:\nnogroup:*:65534:\n",
}
SYSTEM = {
    "usr/lib/sysusers.d/a.conf": b'u! net 999 "Network" /run/net\ng input -\nu root 0\n',
    "usr/lib/sysusers.d/b.conf": b"u sshd -:nogroup 'sshd user' /run/sshd\n"
    b"u _apt 42:65534\nm net input\n",
}


def test_accounts_of_sysusers_have_fixed_numbers() -> None:
    files = account_files((), MASTER | SYSTEM, with_system=True)
    passwd = files["etc/passwd"].decode().splitlines()
    assert passwd == [
        "root:*:0:0:root:/root:/bin/bash",
        "man:*:6:12:man:/var/cache/man:/usr/sbin/nologin",
        "net:*:999:999:Network:/run/net:/usr/sbin/nologin",
        "sshd:*:997:65534:sshd user:/run/sshd:/usr/sbin/nologin",
        "_apt:*:42:65534::/:/usr/sbin/nologin",
    ]
    groups = files["etc/group"].decode().splitlines()
    # 999 is taken by a user that asks for it.
    assert groups[3:] == ["net:*:999:", "input:*:998:"]
    assert account_files((), MASTER | SYSTEM)["etc/passwd"] == MASTER[USERS_LIST]


def test_malformed_accounts_are_ignored() -> None:
    hostile = {
        "usr/lib/sysusers.d/x.conf": b'u a:b -\nu "bad\nu ok 5 "a:b"\nz what -\nu fine - - "/x:y"\n'
    }
    assert system_accounts(hostile, {}, {}).users == {}

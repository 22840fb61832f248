"""Options that were asked for and are not in the kernel, with the dependency that failed."""

from __future__ import annotations

from textwrap import dedent

import pytest

from assembler.linux import KconfigTree, read_kconfig, unmet_options

FILES = {
    "Kconfig": """
        mainmenu "Linux"
        source "arch/$(SRCARCH)/Kconfig"
        source "net/Kconfig"
        """,
    "arch/x86/Kconfig": """
        config X86
        \tdef_bool y
        \tselect CRYPTO

        config EXPERT
        \tbool "For experts"
        \thelp
        \t  config INSIDE_A_HELP_TEXT
        \t  depends on NOTHING

        config NR_CPUS
        \tint "Processors"
        \trange 2 8

        config KERNEL_CFI
        \tbool "Control flow"
        \tdepends on $(cc-option,-fsanitize=kcfi)

        choice
        \tprompt "Compression"
        config KERNEL_XZ
        \tbool "XZ"
        config KERNEL_ZSTD
        \tbool "Zstandard"
        endchoice

        config CRYPTO
        \tbool "Ciphers"

        config HELPER
        \ttristate

        config PREEMPT_RT
        \tbool "Real time" if EXPERT
        """,
    "net/Kconfig": """
        menuconfig NET
        \tbool "Network"

        if NET
        config INET
        \tbool "Internet"

        menu "Filters"
        \tdepends on INET

        config NF_TABLES
        \ttristate "Tables"
        \tselect HELPER

        config NFT_QUEUE
        \ttristate "Queues" # of packets
        \tdepends on NF_TABLES && \\
        \t\t(NF_QUEUE || NF_OTHER) && !EXPERT

        config NF_QUEUE
        \ttristate "Queue"
        config NF_OTHER
        \ttristate "Other"
        endmenu
        endif
        """,
}


@pytest.fixture(scope="module")
def tree() -> KconfigTree:
    """Give the options of a small kernel."""
    texts = {name: dedent(text) for name, text in FILES.items()}
    return read_kconfig(texts.get, "x86")


def reason(tree: KconfigTree, wanted: str, found: dict[str, str]) -> str:
    """Return the reason for the one option that is unmet."""
    name, _, value = wanted.partition("=")
    (unmet,) = unmet_options({name: value}, found, tree)
    return unmet.reason


NET = {"NET": "y", "INET": "y", "NF_TABLES": "y"}


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        ("INET=y", {}, "it depends on NET (off)"),
        ("NF_TABLES=y", {"NET": "y"}, "it depends on INET (off)"),
        ("NF_TABLES=y", {}, "it depends on NET (off), INET (off)"),
        ("NFT_QUEUE=m", NET, "it depends on NF_QUEUE (off), NF_OTHER (off)"),
        (
            "NFT_QUEUE=y",
            {**NET, "NF_QUEUE": "m"},
            "it depends on NF_QUEUE (a module), NF_OTHER (off)",
        ),
        (
            "NFT_QUEUE=y",
            {**NET, "NF_QUEUE": "y", "EXPERT": "y"},
            "it depends on not EXPERT (built in)",
        ),
        ("KERNEL_XZ=y", {"KERNEL_ZSTD": "y"}, "CONFIG_KERNEL_ZSTD is the one of its choice"),
        ("NET=n", {"NET": "y"}, "no option of a user turns it off"),
        ("CRYPTO=n", {"CRYPTO": "y", "X86": "y"}, "selected by X86"),
        ("HELPER=y", {}, "only other options turn it on: NF_TABLES"),
        ("PREEMPT_RT=y", {}, "it can be set only with EXPERT (off)"),
        ("NR_CPUS=100", {"NR_CPUS": "8"}, "a range or a default of the kernel decides"),
        (
            "KERNEL_CFI=y",
            {},
            "it depends on what the compiler can do: $(cc-option,-fsanitize=kcfi)",
        ),
        ("INETT=y", {}, "this kernel has no such option; did you mean CONFIG_INET?"),
        ("INSIDE_A_HELP_TEXT=y", {}, "this kernel has no such option"),
    ],
)
def test_the_reason_is_named(
    tree: KconfigTree, wanted: str, found: dict[str, str], expected: str
) -> None:
    assert reason(tree, wanted, found) == expected


def test_what_is_met_is_not_named(tree: KconfigTree) -> None:
    wanted = {"NET": "y", "NF_TABLES": "m", "EXPERT": "n", "KEY": '""', "NR_CPUS": "4"}
    found = {"NET": "y", "NF_TABLES": "y", "NR_CPUS": "4"}
    assert list(unmet_options(wanted, found, tree)) == []


def test_the_message_has_both_values(tree: KconfigTree) -> None:
    (unmet,) = unmet_options({"INET": "y"}, {}, tree)
    assert unmet.message == "CONFIG_INET=y is off in the kernel: it depends on NET (off)"

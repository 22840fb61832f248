"""Codes of the stage "usage": the command line."""

from assembler.codes import Code

BAD_OPTION = Code(
    901,
    "An invalid option or argument",
    "`dolmen COMMAND --help` shows all options with examples.",
)
UNKNOWN_CODE = Code(
    902,
    "An unknown diagnostic code",
    "Codes look like DM0012; docs/errors.md lists all codes.",
)
BACKEND_NOT_SUPPORTED = Code(
    903,
    "A backend of LinuxKit that Dolmen lacks",
    "Dolmen runs images in QEMU, and uploads none to clouds. For another hypervisor or a cloud, "
    "build its format (`dolmen build --format help` lists them), and start or upload the output "
    "with the tool of the vendor; docs/linuxkit.md lists format and tool of each backend.",
)
BAD_CONFIG_FILE = Code(
    904,
    "A mistake in the configuration file",
    "`dolmen config` lists all settings with their values and origins, and `dolmen config --path` "
    "prints the path of the file. It is TOML; docs/configuration.md describes it. A file of "
    "another user, or one that everyone may write to, is used only if DOLMEN_CONFIG names it.",
)

"""``camel list``: what can be named."""


def list_command() -> None:
    """List machines, networks, refresh policies, engines and components."""
    from rich.console import Console
    from rich.table import Table

    from camel_plugin.files.yaml_source import load_yaml
    from camel_plugin.plugins import registered
    from camel_plugin.resources import available

    console = Console()
    for title, kind, option in (("Machines", "arch_specs", "--arch"), ("Networks", "workloads", "--net")):
        table = Table(title=f"{title} ({option})", title_justify="left", box=None, pad_edge=False)
        table.add_column("name", no_wrap=True)
        table.add_column("description")
        for name, path in available(kind).items():
            content = load_yaml(path).plain()
            table.add_row(name, content.get("description", "") if isinstance(content, dict) else "")
        console.print(table, "")
    for title, group in (
        ("Refresh policies (--refresh)", "refresh"),
        ("Engines (--engine)", "engines"),
        ("Components (class or subclass of an architecture)", "components"),
    ):
        console.print(f"{title}: " + ", ".join(sorted(registered(group))), "", highlight=False)

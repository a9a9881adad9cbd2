"""The commands of ``camel``. Imports stay inside the commands, so that ``--help`` is instant."""

import typer

from camel_plugin.cli.convert import convert_command
from camel_plugin.cli.doctor import doctor_command
from camel_plugin.cli.evaluate import eval_command
from camel_plugin.cli.listing import list_command
from camel_plugin.cli.map import map_command
from camel_plugin.cli.model import model_command
from camel_plugin.cli.problems import problems_command
from camel_plugin.cli.render import render_command
from camel_plugin.cli.sweep import sweep_command

app = typer.Typer(
    name="camel",
    help="What one training step costs on an on-device accelerator with eDRAM, in Timeloop's terms.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("eval")(eval_command)
app.command("list")(list_command)
app.command("render")(render_command)
app.command("problems")(problems_command)
app.command("model")(model_command)
app.command("map")(map_command)
app.command("convert")(convert_command)
app.command("sweep")(sweep_command)
app.command("doctor")(doctor_command)

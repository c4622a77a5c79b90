"""Options: what one field declares reaches the check, the message, the flag, the help, the JSON, and the rules of resuming."""

import ast
import json
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import tinygan
from tinygan.cli import main
from tinygan.cli.flags import takes_options
from tinygan.game.remedies import Remedies
from tinygan.game.rules import Rules
from tinygan.nn.architectures import NetworkOptions
from tinygan.options import NOTHING, OptionError, Options, as_arguments, from_record, option, options_of, require_effect
from tinygan.training.config import AdamOptions, Config, DataOptions, RunOptions

PACKAGE = Path(tinygan.__file__).parent
GROUPS = (RunOptions, Rules, Remedies, NetworkOptions, DataOptions, AdamOptions)


@dataclass(frozen=True, kw_only=True)
class Sweets(Options):
    """A class that declares every kind of option once."""

    title = "Sweets"

    count: int = option(3, help="How many.", at_least=1, may_change=True)
    share: float = option(0.5, help="What part.", at_least=0, below=1)
    rate: float = option(1.0, help="How fast.", above=0, neutral=2.0)
    weight: float = option(0.5, help="How heavy.", at_least=0, at_most=1, neutral=0.0)
    kind_of: str = option("sour", help="Which: sour, sweet or salty.", choices=("sour", "sweet", "salty"), neutral="sweet")
    way: str = option("", help="Which way: left or right.", choices=("", "left", "right"), neutral="")
    wrapped: bool = option(False, help="In paper.", neutral=False)
    layers: tuple[int, ...] = option((4,), help="Widths: 4,5.", at_least=1, neutral=())
    place: int | None = option(None, help="Where.", at_least=2, neutral=None, flag="--spot")

    def conflicts(self):
        if self.wrapped and self.count == 13:
            yield "--wrapped is not for 13"


@dataclass(frozen=True, kw_only=True)
class Shop(Sweets, Remedies):
    name: str = option(help="The name.")


# ---- checks ---------------------------------------------------------------------------------------------------------------------

WRONG = {
    "count": [(0, "count is 0, it has to be at least 1"), (1.0, "a whole number"), (True, "a whole number"), (None, "whole"),
              ("3", "count is '3', it has to be a whole number")],
    "share": [(-0.1, "at least 0 and below 1"), (1.0, "at least 0 and below 1"), (float("nan"), "share is nan"), ("0", "finite")],
    "rate": [(0.0, "rate is 0.0, it has to be a positive number"), (float("inf"), "a finite number"), (False, "finite number")],
    "weight": [(1.5, "weight is 1.5, it has to be between 0 and 1"), (float("nan"), "weight is nan, it has to be a finite n")],
    "kind_of": [("bitter", "kind_of is 'bitter', it has to be one of sour, sweet, salty"), (1, "a text")],
    "way": [("up", "way is 'up', it has to be left or right")],
    "wrapped": [(1, "true or false"), ("no", "true or false")],
    "layers": [((4, 0), "layers is (4, 0), it has to be at least 1"), ([4], "tuple"), ((4, 5.0), "tuple"), (4, "tuple")],
    "place": [(1, "place is 1, it has to be at least 2"), (2.5, "whole")],
}


@pytest.mark.parametrize(("name", "value", "message"), [(n, v, m) for n, rows in WRONG.items() for v, m in rows])
def test_what_is_out_of_range_is_refused_in_one_line(name, value, message):
    with pytest.raises(OptionError) as caught:
        Sweets(**{name: value})
    assert message in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_a_message_names_arguments_and_on_the_command_line_flags():
    """Both names are checked of an option whose flag is not made of its name, of two words, and of one in a conflict."""
    for wrong, argument, flag in (
        ({"place": 1}, "place is 1", "--spot is 1"), ({"kind_of": "x"}, "kind_of is 'x'", "--kind-of is 'x'"),
        ({"wrapped": True, "count": 13}, "wrapped is not for 13", "--wrapped is not for 13"),
    ):  # fmt: skip
        with pytest.raises(OptionError) as caught:
            Sweets(**wrong)
        assert str(caught.value).startswith(argument) and caught.value.with_flags.startswith(flag)


@pytest.mark.parametrize(("message", "told"), [
    ("lower --lr-d and --lr-g, or raise --r1; runs/my--run/a--b.csv", "lower lr_d and lr_g, or raise r1; runs/my--run/a--b.csv"),
    ("go on: tinygan train DATA --out x --resume; else --steps 3", "go on: tinygan train DATA --out x --resume; else steps 3"),
    ("a -- b, --, ---, --9", "a -- b, --, ---, --9"),
])  # fmt: skip
def test_flags_become_arguments_and_nothing_else_does(message, told):
    assert as_arguments(message) == told


LONG = [{"kind_of": "x" * 10_000}, {"layers": (0,) * 10_000}, {"count": -(10**6000)}, {"share": 10**6000},
        {"kind_of": {"a": "x" * 999}}]


@pytest.mark.parametrize("wrong", LONG, ids=["text", "tuple", "whole", "share", "dict"])
def test_a_huge_value_is_refused_in_a_line_that_one_can_read(wrong):
    with pytest.raises(OptionError) as caught:
        Sweets(**wrong)
    assert len(str(caught.value)) < 200 and len(str(caught.value).splitlines()) == 1


def test_a_whole_number_is_a_float_where_one_is_wanted():
    assert type(Sweets(share=0, rate=3).share) is float and repr(Sweets(share=0)) == repr(Sweets(share=0.0))


def test_every_kind_of_option_has_a_wrong_value_above():
    assert set(WRONG) == set(options_of(Sweets))


@pytest.mark.parametrize("edge", [{"count": 1}, {"share": 0}, {"share": 0.999}, {"rate": 1e-300}, {"weight": 1}, {"weight": 0.0},
                                  {"way": ""}, {"layers": ()}, {"layers": (1, 9)}, {"place": None}, {"place": 2}], ids=str)
def test_the_edge_of_a_range_is_in_it(edge):
    assert Sweets(**edge).values(Sweets) == {**Sweets().values(Sweets), **edge}


def test_groups_that_are_combined_keep_their_own_conflicts():
    with pytest.raises(OptionError, match="wrapped is not for 13"):
        Shop(name="x", wrapped=True, count=13)
    with pytest.raises(OptionError, match="noise is -1"):
        Shop(name="x", noise=-1)
    with pytest.raises(OptionError, match="k is 2"):
        Config(data="ring", k=2, update="simultaneous")
    assert Shop(name="x", noise=0.5).part(Remedies) == Remedies(noise=0.5)


SCALARS = [("count", np.int64(2)), ("count", np.uint8(2)), ("share", np.float32(0.25)), ("wrapped", np.True_),
           ("layers", (np.int32(4), 5)), ("way", np.str_("left"))]


@pytest.mark.parametrize(("name", "value"), SCALARS, ids=str)
def test_numpy_scalars_become_python_s_own(name, value):
    made = getattr(Sweets(**{name: value}), name)
    assert made == value and type(made) in (int, float, bool, tuple, str)
    assert from_record(Sweets, json.loads(json.dumps(asdict(Sweets(**{name: value}))))) == Sweets(**{name: made})


DEPENDENT = {
    "frequency": ({"fourier": 4},), "decay_power": ({"decay": 0.5},), "unroll_rate": ({"unroll": 2},),
    "penalty_fall": ({"r1": 0.1}, {"r2": 0.1}, {"gp": 1.0}), "hidden": ({"arch": "mlp"},), "hidden_d": ({"arch": "mlp"},),
    "width": ({"arch": "dcgan"},),
}  # fmt: skip
OFF = {"fourier": 0, "decay": 0.0, "unroll": 0, "r1": 0.0, "r2": 0.0, "gp": 0.0}


def test_every_option_whose_effect_depends_on_another_is_listed():
    assert {name for name, o in options_of(Config).items() if o.only_with} == set(DEPENDENT)


@pytest.mark.parametrize("name", DEPENDENT)
def test_an_option_without_effect_is_refused_and_with_one_of_those_that_it_needs_it_is_not(name):
    needed = next(iter(DEPENDENT[name][0]))
    off = Config(data="ring", **OFF, arch="dcgan" if name.startswith("hidden") else "mlp")
    with pytest.raises(OptionError, match=f"^{name} has no effect without {needed}.*; leave it out$"):
        require_effect(off, ["seed", name])
    require_effect(off, set(options_of(Config)) - set(DEPENDENT))
    for on in DEPENDENT[name]:
        require_effect(Config(data="ring", **{**OFF, **on}), ["seed", name])


def test_whole_numbers_may_be_larger_than_any_float():
    assert Sweets(count=10**400).count == 10**400
    with pytest.raises(OptionError, match=r"count is -a whole number of more than 40 digits, .* at least 1"):
        Sweets(count=-(10**400))


@pytest.mark.parametrize("name", ["title", "values", "part", "conflicts"])
def test_an_option_does_not_hide_what_every_class_of_options_has(name):
    with pytest.raises(TypeError, match=f"Hiding declares an option {name}, which would hide Options.{name}"):
        type("Hiding", (Options,), {"__annotations__": {name: int}, name: option(1, help="Wrong.")})


UNFIT = [list[int], tuple[float, ...], tuple[int, int], int | float, int | float | None, dict, bytes]


@pytest.mark.parametrize("hint", UNFIT, ids=str)
def test_a_type_that_no_option_can_have_is_refused_with_its_name(hint):
    namespace = {"__annotations__": {"odd": hint}, "odd": option(None, help="Odd.")}
    with pytest.raises(TypeError, match="the option odd of Odd is a "):
        options_of(dataclass(frozen=True, kw_only=True)(type("Odd", (Options,), namespace)))


def test_no_option_is_declared_twice():
    """An option declared twice is refused; Python would take the first one's range and default in silence."""
    with pytest.raises(TypeError, match="Twice and Sweets both declare the option rate"):
        class Twice(Sweets):
            rate: float = option(1.0, help="Again.")

    @dataclass(frozen=True, kw_only=True)
    class Other(Options):
        noise: float = option(0.0, help="Another one.")

    with pytest.raises(TypeError, match="both declare the option noise"):
        class Both(Remedies, Other):
            pass


# ---- JSON, older and newer checkpoints ------------------------------------------------------------------------------------------


@given(st.builds(Sweets, count=st.integers(1), share=st.floats(0, 1, exclude_max=True), rate=st.floats(1e-9, 1e9),
                 wrapped=st.booleans(), layers=st.lists(st.integers(1, 99), max_size=3).map(tuple),
                 place=st.none() | st.integers(2), kind_of=st.sampled_from(["sour", "sweet", "salty"])).filter(
                     lambda s: not (s.wrapped and s.count == 13)))
def test_json_and_back(sweets):
    assert from_record(Sweets, json.loads(json.dumps(asdict(sweets)))) == sweets


def test_what_an_older_checkpoint_lacks_is_neutral_not_the_default():
    record = asdict(Sweets())
    for name, declared in options_of(Sweets).items():
        less = {key: value for key, value in record.items() if key != name}
        if declared.neutral is NOTHING:
            with pytest.raises(OptionError, match=f"lacks the option '{name}'"):
                from_record(Sweets, less)
        else:
            assert getattr(from_record(Sweets, less), name) == declared.neutral
    assert from_record(Sweets, {"count": 3, "share": 0.5}).rate == 2.0 != Sweets().rate


def test_what_a_newer_checkpoint_has_is_refused_by_name():
    with pytest.raises(OptionError, match="the option 'colour', which is unknown here") as caught:
        from_record(Sweets, {**asdict(Sweets()), "colour": 1})
    assert len(str(caught.value).splitlines()) == 1


# ---- flags ----------------------------------------------------------------------------------------------------------------------


def sell(*words):
    """Return (the result, its output) of a command that prints the options that it was given."""
    app = typer.Typer(rich_markup_mode="rich")

    @app.command()
    @takes_options(Shop)
    def shop(*, name: str, given: dict, loud: bool = False) -> int:
        print(name, loud, json.dumps(given))

    result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "140"})
    return result, " ".join(result.output.split())


def test_flags_give_what_was_given_and_nothing_else():
    given = {"count": 2, "share": 0.25, "rate": 3.0, "weight": 1.0, "kind_of": "salty", "way": "left", "layers": [6, 7], "place": 9,
             "noise": 0.5}
    words = ["--count", 2, "--share", 0.25, "--rate", 3, "--weight", 1, "--kind-of", "salty", "--way", "left", "--layers", "6,7",
             "--spot", 9, "--noise", 0.5]
    printed = sell("x", *words, "--wrapped", "--loud")[1]
    assert printed.startswith("x True ") and json.loads(printed.removeprefix("x True ")) == {**given, "wrapped": True}
    assert sell("x")[1] == "x False {}"
    assert sell("x", "--no-wrapped")[1] == 'x False {"wrapped": false}'


def test_a_flag_is_checked_before_the_command_does_anything():
    result, _ = sell("x", "--count", 0)
    assert isinstance(result.exception, OptionError) and result.exception.with_flags == "--count is 0, it has to be at least 1"
    assert sell("x", "--count", "many")[0].exit_code == 2
    result, text = sell("x", "--layers", "4,x")
    assert result.exit_code == 2 and "'4,x' is no list of widths" in text and "--layers" in text


def test_help_shows_every_option_in_the_panel_of_its_class():
    text = sell("--help")[1]
    for group in (Sweets, Remedies):
        panel = text[text.index(f"─ {group.title} ─"):].split("╰")[0]
        for declared in options_of(group).values():
            assert f"{declared.flag} " in panel and declared.help.split()[0] in panel
    assert "--no-wrapped" in text and text.index("Sweets") < text.index("Remedies")


def flags_of_train():
    """Return every name that a parameter of `tinygan train` goes by on the command line, those of options among them."""
    command = typer.main.get_command(main.app).commands["train"]
    return [flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)]


def test_every_option_of_a_run_has_a_flag_that_is_nobody_else_s():
    """An option named like a parameter of the command itself would have none, in silence; of two equal flags one would win."""
    found = flags_of_train()
    missing = {declared.flag for name, declared in options_of(Config).items() if name != "data"} - set(found)
    assert not missing, f"{missing} are parameters of `train` itself, in tinygan/cli/train.py"
    assert len(found) == len(set(found)), f"one flag twice: {sorted(f for f in set(found) if found.count(f) > 1)}"
    assert {"--resume", "--lr-d", "--spectral", "--no-spectral"} <= set(found)


# ---- the configuration of a run -------------------------------------------------------------------------------------------------


def test_config_is_made_of_its_groups():
    assert {name for group in GROUPS for name in options_of(group)} == set(options_of(Config))
    for f in fields(Config):
        owner = next(cls for cls in Config.__mro__ if f.name in vars(cls).get("__annotations__", {}))
        assert f.name in options_of(Config), f"{f.name} of {owner.__name__} has no option(...): no flag, and no check"
    assert all(set(options_of(group)) for group in GROUPS)


@cache
def uses():
    """Return the names that the package reads as attributes or takes as parameters; `conflicts` alone is no use of an option."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        stack = [ast.parse(path.read_text(encoding="utf-8"))]
        while stack:
            node = stack.pop()
            if isinstance(node, ast.FunctionDef) and node.name == "conflicts":
                continue
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                found.add(node.attr)
            elif isinstance(node, ast.arg):
                found.add(node.arg)
            stack += ast.iter_child_nodes(node)
    return found


def test_every_option_is_used():
    """Every option is read by some code; one that nothing reads would be accepted and recorded without effect."""
    read = uses()
    for name, declared in options_of(Config).items():
        assert name in read, f"nothing in tinygan/ reads {name}, which {declared.owner.__name__} declares"


def test_an_option_that_nobody_reads_would_be_seen():
    assert "not_an_option_of_anyone" not in uses() and "kind_of" not in uses()


@pytest.mark.parametrize("name", sorted(options_of(Config)))
def test_every_option_is_fit_to_be_shown_and_checked(name):
    declared = options_of(Config)[name]
    assert declared.help.endswith(".") and declared.owner.title
    if declared.default is not NOTHING:
        declared.check(declared.default)
    if declared.neutral is not NOTHING:
        declared.check(declared.neutral)


def test_neutral_values_together_make_a_configuration():
    """The neutral values of all newer options are set together, because an older checkpoint lacks several options at once."""
    required = {name: declared.default for name, declared in options_of(Config).items() if declared.neutral is NOTHING}
    assert from_record(Config, {**required, "data": "ring"}).part(Remedies) == Remedies()

CASE = '<testcase name="test_two_processes_are_one[{}]">{}</testcase>'
FIGURE = '<properties><property name="SFT" value="{}" /><property name="resuming" value="1.0e-08" /></properties>'
README = "# Ranks\n\n| | old |\n|---|---|\n| x | y |\n\nWords.\n"


def write(folder, name, *cases):
    path = folder / name
    path.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
    return str(path)


def test_figures_of_several_files_go_into_the_table(tool, tmp_path):
    (tmp_path / "README.md").write_text(README)
    other = '<testcase name="test_two_processes_are_one[fsdp2-one]" />'
    first = write(tmp_path, "1.xml", other, CASE.format("ddp", FIGURE.format("2.0e-08")), CASE.format("zero1", ""))
    skipped = CASE.format("zero3_offload", '<skipped message="no compiler" />')
    second = write(tmp_path, "2.xml", skipped, CASE.format("ddp", FIGURE.format("3.0e-08")))
    tool("strategy_table").main([first, second, "--readme", str(tmp_path / "README.md")])
    assert (tmp_path / "README.md").read_text() == (
        "# Ranks\n\n| | SFT | resuming |\n| --- | --- | --- |\n| `ddp` | 3.0e-08 | 1.0e-08 |\n| `zero1` | - | - |\n"
        "| `zero3_offload` | not run here: no compiler | not run here: no compiler |\n\nWords.\n"
    )

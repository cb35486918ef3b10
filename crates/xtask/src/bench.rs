pub(crate) fn run(_: &crate::workspace::Workspace, _: &[String]) -> anyhow::Result<()> {
    Ok(())
}

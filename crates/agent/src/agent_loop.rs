//! The event loop that owns the agent's state.

use tokio::sync::mpsc;

use crate::{Control, Error, Options};

pub(crate) async fn run(_options: Options, mut control: mpsc::UnboundedReceiver<Control>) -> Result<(), Error> {
    control.recv().await;
    Ok(())
}

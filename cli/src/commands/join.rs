//! `layerlift join`: whole archives of partial ones.

use super::save::{Input, export};
use crate::args::Join;
use crate::error::Error;
use crate::report::Reporter;
use crate::status::Status;

pub(crate) fn run(args: &Join, reporter: &Reporter) -> Result<Status, Error> {
    let only_partial = !args.all && args.image.is_empty();
    export(&args.as_save(), &Input::Parts { others: &args.root, only_partial }, reporter)
}

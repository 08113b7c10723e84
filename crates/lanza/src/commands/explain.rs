//! `lanza explain`: the help page of an error.

use lanza_model::{code, name::nearest};

use crate::{
    exit::{self, Failure, Outcome},
    output::{self, table::table},
};

pub(crate) fn run(word: Option<&str>) -> Outcome {
    let Some(word) = word else {
        let rows = code::ALL.iter().map(|c| vec![c.help.to_owned(), c.word.to_owned(), c.hint.to_owned()]).collect();
        output::data(&table(&["code", "word", "what to do"], rows))?;
        return Ok(exit::DONE);
    };
    let code = code::find(word).ok_or_else(|| {
        let failure = Failure::refused(format!("there is no error code `{word}`"));
        match nearest(word, code::ALL.iter().map(|c| c.word)) {
            Some(near) => failure.hint(format!("Did you mean `{near}`?")),
            None => failure.hint("`lanza explain` lists all."),
        }
    })?;
    output::data(code.page)?;
    Ok(exit::DONE)
}

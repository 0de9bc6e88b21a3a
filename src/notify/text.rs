//! The readable parts of a mail. The plain one is complete by itself: pagers and ticket systems read nothing else,
//! and the terminal prints it too.

use askama::Template;

use super::page::{Page, lay_out};
use crate::case::Notice;

#[derive(Template)]
#[template(path = "case.txt")]
struct Plain {
    page: Page,
}

#[derive(Template)]
#[template(path = "case.html")]
struct Html {
    page: Page,
}

/// The text part: at most 40 lines of printable ASCII, ending in a line end, with the fixed lines
/// `Case: CASE-2026-0042` and `Event: opened` for programs that read mail.
pub fn render(notice: &Notice) -> String {
    filled(&Plain { page: lay_out(notice) })
}

/// The HTML part: inline styles, one table, nothing fetched from anywhere.
pub(super) fn render_html(notice: &Notice) -> String {
    filled(&Html { page: lay_out(notice) })
}

/// Our templates only write strings into a string, which cannot fail.
fn filled(template: &impl Template) -> String {
    template.render().unwrap_or_else(|error| format!("ctwarden: the template could not be filled in: {error}\n"))
}

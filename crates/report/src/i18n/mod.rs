//! The texts of the report, English and Korean side by side: a text without its translation does not compile.

mod chapters;
mod isolation;
mod labels;
mod scope;

use clap::ValueEnum;

/// The language of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lang {
    /// English
    En,
    /// 한국어
    Ko,
}

impl Lang {
    /// The language of the locale, which the first of these variables that is not empty sets (POSIX.1-2017, §8.2).
    pub(crate) fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let locale =
            ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().filter_map(variable).find(|v| !v.is_empty());
        match locale {
            Some(locale) if locale.to_ascii_lowercase().starts_with("ko") => Self::Ko,
            _ => Self::En,
        }
    }

    /// The value of the `lang` attribute in HTML.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ko => "ko",
        }
    }
}

/// Texts without arguments, one method for each.
macro_rules! label_texts {
    ($($name:ident: $en:literal, $ko:literal;)*) => {
        impl Lang {
            $(pub(crate) fn $name(self) -> &'static str {
                match self {
                    Self::En => $en,
                    Self::Ko => $ko,
                }
            })*
        }
    };
}
use label_texts;

/// Texts with arguments, one method for each.
macro_rules! sentence_texts {
    ($($name:ident($($argument:ident: $type:ty),* $(,)?): $en:expr, $ko:expr;)*) => {
        impl Lang {
            $(pub(crate) fn $name(self, $($argument: $type),*) -> Line {
                match self {
                    Self::En => $en,
                    Self::Ko => $ko,
                }
            })*
        }
    };
}
use sentence_texts;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locale_variables_select_the_language_in_posix_order() {
        let lang = |all: &str, messages: &str, lang: &str| {
            let (all, messages, lang) = (all.to_owned(), messages.to_owned(), lang.to_owned());
            Lang::of_environment(move |name| {
                Some(match name {
                    "LC_ALL" => all.clone(),
                    "LC_MESSAGES" => messages.clone(),
                    _ => lang.clone(),
                })
            })
        };
        assert_eq!(lang("", "", "ko_KR.UTF-8"), Lang::Ko);
        assert_eq!(lang("", "en_US.UTF-8", "ko_KR.UTF-8"), Lang::En);
        assert_eq!(lang("ko", "en_US.UTF-8", ""), Lang::Ko);
        assert_eq!(lang("C", "", "ko_KR.UTF-8"), Lang::En);
        assert_eq!(Lang::of_environment(|_| None), Lang::En);
    }
}

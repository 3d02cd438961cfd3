//! A tokenizer for CSS (CSS Syntax 3, section 4.3) that distinguishes what matters here: URLs, functions, at-rules and strings.

use std::borrow::Cow;

use crate::codecs::svg::sanitize::vocabulary::SVG;

/// A token of CSS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    Whitespace,
    /// A comment, or the marks (`<!--`) that hide style sheets from old browsers.
    Comment,
    /// A quoted string.
    String,
    /// A string that ends only with the style, and its quote.
    UnclosedString(char),
    /// A string with a line end in it, or a URL with invalid characters.
    Bad,
    /// An identifier.
    Ident,
    /// A name and an opening parenthesis.
    Function,
    /// `url(`, an unquoted URL, and the closing parenthesis.
    Url(Cow<'a, str>),
    /// `@` and a name, which begins an at-rule.
    AtKeyword,
    OpenBracket(u8),
    CloseBracket(u8),
    Semicolon,
    /// A number (with or without unit), a hash, or a delimiter.
    Other,
}

#[derive(Clone, Copy)]
pub(crate) struct Tokenizer<'a> {
    style: &'a str,
    at: usize,
}

impl<'a> Tokenizer<'a> {
    /// Line ends in `style` must be line feeds.
    pub(super) fn of(style: &'a str) -> Self {
        Tokenizer { style, at: 0 }
    }

    /// The text that is not read yet.
    pub(super) fn rest(&self) -> &'a str {
        &self.style[self.at..]
    }

    /// Skips the rest of a block, up to the bracket `close`.
    pub(super) fn skip_block(&mut self, close: u8) {
        let mut open = vec![close];
        while let Some((token, _)) = self.next() {
            match token {
                Token::Function => open.push(b')'),
                Token::OpenBracket(bracket) => open.push(closing(bracket)),
                Token::CloseBracket(bracket) if open.last() == Some(&bracket) => {
                    open.pop();
                    if open.is_empty() {
                        return;
                    }
                }
                _ => {}
            }
        }
    }

    /// Skips the rest of an at-rule: to its semicolon, to the end of its block, or to the end of the surrounding block.
    pub(super) fn skip_rule(&mut self) {
        let mut open = Vec::new();
        loop {
            let before = self.at;
            let Some((token, _)) = self.next() else {
                return;
            };
            match token {
                Token::Semicolon if open.is_empty() => return,
                Token::OpenBracket(b'{') if open.is_empty() => return self.skip_block(b'}'),
                Token::CloseBracket(b'}') if open.is_empty() => {
                    self.at = before;
                    return;
                }
                Token::Function => open.push(b')'),
                Token::OpenBracket(bracket) => open.push(closing(bracket)),
                Token::CloseBracket(bracket) if open.last() == Some(&bracket) => {
                    open.pop();
                }
                _ => {}
            }
        }
    }

    /// The quoted URL after `url(`, read up to the closing parenthesis; `None` if there is anything else in it.
    pub(super) fn quoted_address(&mut self) -> Option<Cow<'a, str>> {
        let (token, text) = self.next_solid()?;
        let url = match token {
            Token::String => unescaped(&text[1..text.len() - 1]),
            Token::UnclosedString(_) => return Some(unescaped(&text[1..])),
            _ => {
                self.skip_block(b')');
                return None;
            }
        };
        let before = self.at;
        match self.next_solid() {
            Some((Token::CloseBracket(b')'), _)) | None => Some(url),
            Some(_) => {
                self.at = before;
                self.skip_block(b')');
                None
            }
        }
    }

    /// Whether a colon follows, after white space and comments.
    pub(super) fn is_property(mut self) -> bool {
        self.next_solid().is_some_and(|(_, text)| text == ":")
    }

    /// Skips the rest of an `@namespace` rule for the SVG namespace, whose URL is not loaded. Any other rule is not skipped.
    pub(super) fn skip_known_namespace(&mut self) -> bool {
        let mut rest = *self;
        let mut token = rest.next_solid();
        if matches!(token, Some((Token::Ident, _))) {
            token = rest.next_solid();
        }
        let name = match token {
            Some((Token::Url(name), _)) => Some(name),
            Some((Token::String, text)) => Some(unescaped(&text[1..text.len() - 1])),
            Some((Token::Function, text)) if text.eq_ignore_ascii_case("url(") => {
                rest.quoted_address()
            }
            _ => None,
        };
        let is_known = name.is_some_and(|name| name == SVG)
            && matches!(rest.next_solid(), Some((Token::Semicolon, _)));
        if is_known {
            *self = rest;
        }
        is_known
    }

    fn next_solid(&mut self) -> Option<(Token<'a>, &'a str)> {
        loop {
            let next = self.next()?;
            if !matches!(next.0, Token::Whitespace | Token::Comment) {
                return Some(next);
            }
        }
    }

    /// The next token and its text.
    pub(super) fn next(&mut self) -> Option<(Token<'a>, &'a str)> {
        let from = self.at;
        let bytes = &self.style.as_bytes()[from..];
        let token = match *bytes.first()? {
            b' ' | b'\t' | b'\n' | 0x0C => {
                let is_space = |byte: &u8| b" \t\n\x0C".contains(byte);
                self.at += bytes.iter().take_while(|byte| is_space(byte)).count();
                Token::Whitespace
            }
            quote @ (b'"' | b'\'') => self.text(quote),
            b'#' if self.is_name(from + 1) || self.begins_escape(from + 1) => {
                self.at = self.name_end(from + 1);
                Token::Other
            }
            b'+' | b'.' | b'0'..=b'9' | b'-' if self.begins_number(from) => self.number(),
            b'-' if bytes.starts_with(b"-->") => self.take(3, Token::Comment),
            b'<' if bytes.starts_with(b"<!--") => self.take(4, Token::Comment),
            b'/' if bytes.starts_with(b"/*") => {
                self.at = self.style[from + 2..]
                    .find("*/")
                    .map_or(self.style.len(), |end| from + 2 + end + 2);
                Token::Comment
            }
            b'@' if self.begins_name(from + 1) => {
                self.at = self.name_end(from + 1);
                Token::AtKeyword
            }
            _ if self.begins_name(from) => self.name(),
            // A backslash before a line end is no escape and is ignored.
            b'\\' => self.take(1, Token::Comment),
            bracket @ (b'(' | b'[' | b'{') => self.take(1, Token::OpenBracket(bracket)),
            bracket @ (b')' | b']' | b'}') => self.take(1, Token::CloseBracket(bracket)),
            b';' => self.take(1, Token::Semicolon),
            _ => self.take(1, Token::Other),
        };
        Some((token, &self.style[from..self.at]))
    }

    fn take(&mut self, bytes: usize, token: Token<'a>) -> Token<'a> {
        self.at += bytes;
        token
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.style.as_bytes().get(at).copied()
    }

    fn text(&mut self, quote: u8) -> Token<'a> {
        self.at += 1;
        while let Some(byte) = self.byte(self.at) {
            self.at += 1;
            match byte {
                b'\n' | 0x0C => {
                    self.at -= 1;
                    return Token::Bad;
                }
                // A line end after a backslash continues the string, and one after hexadecimal digits belongs to the escape.
                b'\\' => {
                    self.at = if self.begins_escape(self.at - 1) {
                        self.escape_end(self.at - 1)
                    } else {
                        self.at + 1
                    };
                }
                _ if byte == quote => return Token::String,
                _ => {}
            }
        }
        Token::UnclosedString(char::from(quote))
    }

    fn number(&mut self) -> Token<'a> {
        let digits = |at: usize| {
            let rest = &self.style.as_bytes()[at..];
            at + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
        };
        let mut end = self.at + usize::from(matches!(self.byte(self.at), Some(b'+' | b'-')));
        end = digits(end);
        if self.byte(end) == Some(b'.')
            && self.byte(end + 1).is_some_and(|byte| byte.is_ascii_digit())
        {
            end = digits(end + 1);
        }
        if matches!(self.byte(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.byte(end + 1), Some(b'+' | b'-')));
            if self
                .byte(end + 1 + sign)
                .is_some_and(|byte| byte.is_ascii_digit())
            {
                end = digits(end + 1 + sign);
            }
        }
        self.at = if self.begins_name(end) {
            self.name_end(end)
        } else {
            end + usize::from(self.byte(end) == Some(b'%'))
        };
        Token::Other
    }

    /// Reads a name, or a function or URL that begins with one.
    fn name(&mut self) -> Token<'a> {
        let from = self.at;
        self.at = self.name_end(from);
        if self.byte(self.at) != Some(b'(') {
            return Token::Ident;
        }
        let name = &self.style[from..self.at];
        self.at += 1;
        if !unescaped(name).eq_ignore_ascii_case("url") {
            return Token::Function;
        }
        let rest = self.style[self.at..].trim_start_matches([' ', '\t', '\n', '\x0C']);
        if rest.starts_with(['"', '\'']) {
            return Token::Function;
        }
        self.at = self.style.len() - rest.len();
        self.address()
    }

    /// Reads an unquoted URL.
    fn address(&mut self) -> Token<'a> {
        let from = self.at;
        loop {
            match self.byte(self.at) {
                None | Some(b')') => {
                    let url = unescaped(&self.style[from..self.at]);
                    self.at = self.style.len().min(self.at + 1);
                    return Token::Url(url);
                }
                Some(b' ' | b'\t' | b'\n' | 0x0C) => {
                    let url = &self.style[from..self.at];
                    let rest = self.style[self.at..].trim_start_matches([' ', '\t', '\n', '\x0C']);
                    if rest.is_empty() || rest.starts_with(')') {
                        self.at = self.style.len() - rest.len() + usize::from(!rest.is_empty());
                        return Token::Url(unescaped(url));
                    }
                    return self.broken_address();
                }
                Some(b'"' | b'\'' | b'(' | 0..=8 | 0x0B | 0x0E..=0x1F | 0x7F) => {
                    return self.broken_address();
                }
                Some(b'\\') if !self.begins_escape(self.at) => return self.broken_address(),
                Some(b'\\') => self.at = self.escape_end(self.at),
                Some(_) => self.at += 1,
            }
        }
    }

    /// Skips an invalid URL, up to its closing parenthesis.
    fn broken_address(&mut self) -> Token<'a> {
        while let Some(byte) = self.byte(self.at) {
            if byte == b'\\' && self.begins_escape(self.at) {
                self.at = self.escape_end(self.at);
                continue;
            }
            self.at += 1;
            if byte == b')' {
                break;
            }
        }
        Token::Bad
    }

    /// Whether the byte may be in a name. All characters beyond ASCII may.
    fn is_name(&self, at: usize) -> bool {
        self.byte(at).is_some_and(|byte| {
            byte.is_ascii_alphanumeric() || byte >= 0x80 || b"-_".contains(&byte)
        })
    }

    fn begins_name(&self, at: usize) -> bool {
        let is_first = |at| {
            self.is_name(at)
                && self
                    .byte(at)
                    .is_some_and(|byte| !byte.is_ascii_digit() && byte != b'-')
        };
        match self.byte(at) {
            Some(b'-') => {
                self.byte(at + 1) == Some(b'-') || is_first(at + 1) || self.begins_escape(at + 1)
            }
            Some(b'\\') => self.begins_escape(at),
            _ => is_first(at),
        }
    }

    fn begins_number(&self, at: usize) -> bool {
        let is_digit = |at| self.byte(at).is_some_and(|byte| byte.is_ascii_digit());
        let at = at + usize::from(matches!(self.byte(at), Some(b'+' | b'-')));
        is_digit(at) || (self.byte(at) == Some(b'.') && is_digit(at + 1))
    }

    fn begins_escape(&self, at: usize) -> bool {
        self.byte(at) == Some(b'\\') && !matches!(self.byte(at + 1), Some(b'\n' | 0x0C))
    }

    fn name_end(&self, from: usize) -> usize {
        let mut at = from;
        loop {
            if self.is_name(at) {
                at += 1;
            } else if self.begins_escape(at) {
                at = self.escape_end(at);
            } else {
                return at;
            }
        }
    }

    /// The end of the escape that begins at `at`.
    fn escape_end(&self, at: usize) -> usize {
        at + 1 + escaped(&self.style[at + 1..]).1
    }
}

fn closing(bracket: u8) -> u8 {
    match bracket {
        b'(' => b')',
        b'[' => b']',
        _ => b'}',
    }
}

/// The character of an escape, whose text follows a backslash, and the length of that text.
fn escaped(text: &str) -> (char, usize) {
    let digits = text
        .bytes()
        .take(6)
        .take_while(u8::is_ascii_hexdigit)
        .count();
    if digits == 0 {
        return text
            .chars()
            .next()
            .map_or((char::REPLACEMENT_CHARACTER, 0), |character| {
                (character, character.len_utf8())
            });
    }
    let space = usize::from(text[digits..].starts_with([' ', '\t', '\n', '\x0C']));
    let character = u32::from_str_radix(&text[..digits], 16)
        .ok()
        .and_then(char::from_u32)
        .filter(|character| *character != '\0')
        .unwrap_or(char::REPLACEMENT_CHARACTER);
    (character, digits + space)
}

/// The text with its escapes resolved. An escaped line end, which only strings have, is removed.
pub(crate) fn unescaped(text: &str) -> Cow<'_, str> {
    let mut parts = text.split('\\');
    let Some(first) = parts.next().filter(|first| first.len() < text.len()) else {
        return Cow::Borrowed(text);
    };
    let mut made = first.to_owned();
    let mut rest = &text[first.len()..];
    while let Some(after) = rest.strip_prefix('\\') {
        rest = if let Some(after) = after.strip_prefix('\n') {
            after
        } else {
            let (character, length) = escaped(after);
            made.push(character);
            &after[length..]
        };
        let end = rest.find('\\').unwrap_or(rest.len());
        made.push_str(&rest[..end]);
        rest = &rest[end..];
    }
    Cow::Owned(made)
}

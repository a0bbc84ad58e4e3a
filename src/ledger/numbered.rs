//! The one macro behind `attribute.rs` and `kind.rs`: a closed enum with stable numbers and names. Not for other enums.

/// Declares an enum whose variants have a number (written into entries, never reused) and a name (for people and JSON),
/// and a list of the numbers that are set aside for what is not built yet.
macro_rules! numbered {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $($(#[$doc:meta])* $variant:ident = $number:literal, $text:literal;)+
        }
        reserved { $($reserved_number:literal, $reserved_text:literal;)+ }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum $name {
            $($(#[$doc])* $variant = $number,)+
        }

        impl $name {
            /// All of them, ascending by number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// Numbers set aside, with their names: no entry carries them yet.
            pub const RESERVED: &'static [(u16, &'static str)] = &[$(($reserved_number, $reserved_text),)+];

            /// The stable number.
            pub const fn number(self) -> u16 {
                self as u16
            }

            /// The number in decimal.
            pub const fn decimal(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($number),)+
                }
            }

            /// The stable name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// The one with this number; `None` for a number that is reserved or not known.
            pub const fn from_number(number: u16) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}
pub(super) use numbered;

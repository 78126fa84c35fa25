/// Conditions that products must all satisfy; the values of one condition are joined by *or*, and letter case does not
/// matter.
///
/// ```swift
/// let drinks: Filters = [.category("Drinks"), .brand("Havre", "Nordlys"), .attribute("size", "1 l")]
/// ```
public struct Filters: Sendable, Hashable, ExpressibleByArrayLiteral {
    /// One condition on a catalogue column.
    public struct Condition: Sendable, Hashable {
        let column: String
        let values: [String]

        /// Values are a set: neither order nor repetition matters.
        public static func == (a: Self, b: Self) -> Bool { a.column == b.column && Set(a.values) == Set(b.values) }

        public func hash(into hasher: inout Hasher) {
            hasher.combine(column)
            hasher.combine(Set(values))
        }

        /// The catalogue's own id is one of `values`.
        public static func id(_ values: String...) -> Self { Self(column: "id", values: values) }
        /// The brand is one of `values`.
        public static func brand(_ values: String...) -> Self { Self(column: "brand", values: values) }
        /// The category is one of `values`.
        public static func category(_ values: String...) -> Self { Self(column: "category", values: values) }
        /// The catalogue's column `attr.name` is one of `values`.
        public static func attribute(_ name: String, _ values: String...) -> Self {
            Self(column: "attr.\(name)", values: values)
        }
        /// The column (`id`, `brand`, `category` or `attr.name`) is one of `values`; of none, the query is refused.
        public static func column(_ name: String, anyOf values: [String]) -> Self { Self(column: name, values: values) }
    }

    /// All of them hold.
    public var conditions: [Condition]

    /// Filters of conditions.
    public init(_ conditions: [Condition] = []) { self.conditions = conditions }

    public init(arrayLiteral elements: Condition...) { conditions = elements }

    /// The same conditions with the same values, in any order.
    public static func == (a: Self, b: Self) -> Bool { Set(a.conditions) == Set(b.conditions) }

    public func hash(into hasher: inout Hasher) { hasher.combine(Set(conditions)) }
}

package app.shelfsight

/** Conditions that products must all satisfy; [filters] makes them. */
public class Filters internal constructor(internal val conditions: List<Condition>) {
    internal class Condition(val column: String, val values: List<String>) {
        /** Values are a set: neither order nor repetition matters. */
        override fun equals(other: Any?): Boolean =
            other is Condition && other.column == column && other.values.toSet() == values.toSet()

        override fun hashCode(): Int = 31 * column.hashCode() + values.toSet().hashCode()
    }

    override fun toString(): String =
        conditions.joinToString(" and ") { "${it.column} is ${it.values.joinToString(" or ")}" }

    /** The same conditions with the same values, in any order. */
    override fun equals(other: Any?): Boolean =
        other is Filters && (other === this || other.conditions.toSet() == conditions.toSet())

    override fun hashCode(): Int = conditions.toSet().hashCode()

    public companion object {
        /** Every product. */
        public val NONE: Filters = Filters(emptyList())
    }
}

/**
 * Makes filters. Conditions are joined by *and*, the values of one by *or*; letter case does not matter.
 *
 * ```
 * filters {
 *     category eq "Drinks"
 *     brand anyOf listOf("Havre", "Nordlys")
 *     attribute("size") eq "1 l"
 * }
 * ```
 */
public fun filters(block: FilterScope.() -> Unit): Filters = FilterScope().apply(block).build()

@DslMarker
private annotation class FilterDsl

/** Receiver of [filters]. */
@FilterDsl
public class FilterScope internal constructor() {
    private val conditions = mutableListOf<Filters.Condition>()

    /** The catalogue's own id. */
    public val id: Column = Column("id")

    /** The brand. */
    public val brand: Column = Column("brand")

    /** The category. */
    public val category: Column = Column("category")

    /** The catalogue's column `attr.`[name]. */
    public fun attribute(name: String): Column = Column("attr.$name")

    /** The column is [value]. */
    public infix fun Column.eq(value: String) {
        conditions += Filters.Condition(name, listOf(value))
    }

    /** The column is one of [values]; of none, no product passes and the query throws [QueryException]. */
    public infix fun Column.anyOf(values: Collection<String>) {
        conditions += Filters.Condition(name, values.toList())
    }

    internal fun build() = Filters(conditions.toList())

    /** A catalogue column. */
    public class Column internal constructor(internal val name: String)
}

package app.shelfsight

/** A box in pixels of the upright picture; the origin is its top left corner. */
public data class Area(val x: Float, val y: Float, val width: Float, val height: Float)

/** A product of the catalogue, or one to [add][Engine.add] to it; what the catalogue leaves empty is null. */
public data class Product(
    /** The catalogue's own, such as an article number: no two products have the same. */
    val id: String,
    val title: String,
    val brand: String? = null,
    val category: String? = null,
    /** 14 digits; of a product to add 8, 12, 13 or 14. */
    val gtin: String? = null,
    val description: String? = null,
    /** The catalogue's `attr.` columns, in its order. */
    val attributes: Map<String, String> = emptyMap(),
)

/** What speaks for a match. */
public data class Evidence(
    /** Log-odds from the picture, if there was one. */
    val looks: Float?,
    /** Log-odds from the words, if there were any. */
    val words: Float?,
    /** A barcode in the picture, or typed, names this product. */
    val barcode: Boolean,
)

/** A product that may be the one asked for. */
public data class Match(
    val product: Product,
    /** Probability that it is, in `0..1`; at least 0.99 if a barcode says so, else at most 0.98. */
    val score: Float,
    val evidence: Evidence,
)

/** Answer to [Engine.find]. */
public data class FindResult(
    /** Best first; empty if nothing matches. */
    val matches: List<Match>,
    /** GTINs read from the picture, in the catalogue or not. */
    val barcodes: List<String>,
    /** Time of each stage, in the order they ran. */
    val milliseconds: Map<String, Double>,
) {
    /** The best match. */
    val best: Match? get() = matches.firstOrNull()
}

/** A place in the picture that holds a product. */
public data class Item(
    val area: Area,
    /** Certainty that a product is there, in `0..1`. */
    val detection: Float,
    /** The same number from frame to frame for the same place, in a flow of frames; null for a single picture. */
    val track: Long?,
    /** Best first; empty if the filters leave none. */
    val matches: List<Match>,
) {
    /** The best match. */
    val best: Match? get() = matches.firstOrNull()
}

/** What was done with a frame of a flow. */
public enum class Effort {
    /** It shows what an earlier frame showed, whose answer stands. */
    UNCHANGED,

    /** Boxes were carried along with the picture. */
    MOVED,

    /** Products were detected, and those not known from before named. */
    DETECTED,
}

/** Answer to [Engine.scan]. */
public data class ScanResult(
    /** The most certain first. */
    val items: List<Item>,
    /** GTINs read from the picture, in the catalogue or not. */
    val barcodes: List<String>,
    val effort: Effort,
    /** Width of the upright picture, to which areas refer. */
    val width: Int,
    /** Height of the upright picture. */
    val height: Int,
    /** Time of each stage, in the order they ran. */
    val milliseconds: Map<String, Double>,
)

/** A licence of something in a pack, to be shown in an app's credits. */
public data class Licence(val what: String, val licence: String, val attribution: String)

/** What [Engine.compact] made. */
public data class Compacted(
    /** Products of the new pack. */
    val products: Int,
    /** Bytes of the old pack and of what had been added to it. */
    val bytesBefore: Long,
    /** Bytes of the new pack. */
    val bytesAfter: Long,
)

/** What a pack says of itself. */
public data class PackInfo(
    /** Products that can be found: those added count, those removed do not. */
    val products: Int,
    /** Of the file, without what was added since it was written. */
    val bytes: Long,
    val format: Int,
    /** Seconds since 1970. */
    val created: Long,
    val generator: String,
    /** [Engine.find] takes pictures. */
    val findsPictures: Boolean,
    /** [Engine.find] takes words. */
    val findsWords: Boolean,
    /** [Engine.scan] works. */
    val scans: Boolean,
    val licences: List<Licence>,
    /** Categories of the catalogue, sorted, at most 1,000: for a menu of filters. */
    val categories: List<String>,
    /** Brands of the catalogue, sorted, at most 1,000. */
    val brands: List<String>,
)

/** How far long work has come; the last value of a flow holds its [result]. */
public data class Progress<out T : Any>(val done: Long, val total: Long, val result: T? = null) {
    /** In `0..1`. */
    val fraction: Float get() = if (total > 0) done.toFloat() / total else 0f
}

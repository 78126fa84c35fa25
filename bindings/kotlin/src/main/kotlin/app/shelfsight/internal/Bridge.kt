package app.shelfsight.internal

import app.shelfsight.Area
import app.shelfsight.DuplicateProductException
import app.shelfsight.EngineClosedException
import app.shelfsight.Evidence
import app.shelfsight.Filters
import app.shelfsight.FindResult
import app.shelfsight.Frame
import app.shelfsight.FrameException
import app.shelfsight.Item
import app.shelfsight.LibraryFaultException
import app.shelfsight.Licence
import app.shelfsight.Match
import app.shelfsight.MemoryCeilingException
import app.shelfsight.ModelException
import app.shelfsight.NoSuchProductException
import app.shelfsight.PackDamagedException
import app.shelfsight.PackInUseException
import app.shelfsight.PackInfo
import app.shelfsight.PackNotFoundException
import app.shelfsight.PackReplacedException
import app.shelfsight.PackUnsupportedException
import app.shelfsight.PhotoException
import app.shelfsight.Product
import app.shelfsight.ProductException
import app.shelfsight.QueryException
import app.shelfsight.ScanResult
import app.shelfsight.StorageException
import app.shelfsight.UnknownWordsException
import java.nio.ByteBuffer
import java.util.concurrent.CancellationException

/** Between the façade's types and the generator's. */
internal object Bridge {
    /** Sends a query through JNI, whose planes the frame keeps alive. */
    fun query(engine: Long, request: Request, frame: Frame?): Reply {
        val bytes = bytesOf(request)
        val reply = when (val pixels = frame?.pixels) {
            null -> FastPath.query(engine, bytes, null, null, null)
            is Pixels.Planes -> FastPath.query(engine, bytes, pixels.at(0), pixels.at(1), pixels.at(2))
            is Pixels.Bitmap -> FastPath.bitmap(engine, bytes, pixels.bitmap)
        }
        val buffer = ByteBuffer.wrap(reply)
        return when (buffer.get().toInt()) {
            0 -> FfiConverterTypeReply.read(buffer)
            else -> throw FfiConverterTypeFailure.read(buffer)
        }
    }

    private fun bytesOf(request: Request): ByteArray {
        val bytes = ByteArray(FfiConverterTypeRequest.allocationSize(request).toInt())
        val buffer = ByteBuffer.wrap(bytes)
        FfiConverterTypeRequest.write(request, buffer)
        return if (buffer.position() == bytes.size) bytes else bytes.copyOf(buffer.position())
    }

    /** An option of this [name] as the library takes it. */
    fun notNegative(name: String, value: Int): UInt = notNegative(name, value.toLong()).toUInt()

    fun notNegative(name: String, value: Long): ULong {
        if (value < 0) throw QueryException("$name is $value; give 0 or more")
        return value.toULong()
    }

    /** What an exception of others says, in one line that is not too long. */
    fun oneLine(thrown: Throwable): String {
        val line = thrown.message.orEmpty().lineSequence().first().trim().take(200)
        return if (line.isEmpty()) thrown.javaClass.simpleName else line
    }

    fun conditions(filters: Filters): List<Condition> = filters.conditions.map { Condition(it.column, it.values) }

    fun area(area: Area) = app.shelfsight.internal.Area(area.x, area.y, area.width, area.height)

    fun found(reply: Reply): FindResult = when (reply) {
        is Reply.Found -> FindResult(reply.matches.map(::match), reply.barcodes, times(reply.times))
        else -> throw LibraryFaultException("the library answered a find with something else")
    }

    fun scanned(reply: Reply): ScanResult = when (reply) {
        is Reply.Scanned -> ScanResult(
            items = reply.items.map(::item),
            barcodes = reply.barcodes,
            effort = app.shelfsight.Effort.entries[reply.effort.ordinal],
            width = reply.width.toInt(),
            height = reply.height.toInt(),
            milliseconds = times(reply.times),
        )
        else -> throw LibraryFaultException("the library answered a scan with something else")
    }

    fun coded(reply: Reply): ByteArray = when (reply) {
        is Reply.Coded -> reply.code
        else -> throw LibraryFaultException("the library answered a picture with something else")
    }

    fun info(summary: PackSummary) = PackInfo(
        products = summary.products.toInt(),
        bytes = summary.bytes.toLong(),
        format = summary.format.toInt(),
        created = summary.created.toLong(),
        generator = summary.generator,
        findsPictures = summary.findsPictures,
        findsWords = summary.findsWords,
        scans = summary.scans,
        licences = summary.licences.map { Licence(it.what, it.licence, it.attribution) },
        categories = summary.categories,
        brands = summary.brands,
    )

    fun record(product: Product) = ProductRecord(
        id = product.id,
        title = product.title,
        brand = product.brand.orEmpty(),
        category = product.category.orEmpty(),
        gtin = product.gtin.orEmpty(),
        description = product.description.orEmpty(),
        attributes = product.attributes.map { (name, value) -> Attribute(name, value) },
    )

    private fun times(times: List<StageTime>) = times.associate { it.stage to it.ms }

    private fun item(item: ItemRecord) = Item(
        area = Area(item.area.x, item.area.y, item.area.width, item.area.height),
        detection = item.detection,
        track = item.track.toLong().takeIf { it != 0L },
        matches = item.matches.map(::match),
    )

    private fun match(match: MatchRecord) = Match(
        product = product(match.product),
        score = match.score,
        evidence = Evidence(match.looks, match.words, match.barcode),
    )

    private fun product(record: ProductRecord) = Product(
        id = record.id,
        title = record.title,
        brand = record.brand.ifEmpty { null },
        category = record.category.ifEmpty { null },
        gtin = record.gtin.ifEmpty { null },
        description = record.description.ifEmpty { null },
        attributes = record.attributes.associate { it.name to it.value },
    )

    /** The exception an app sees for what the generated code throws. */
    fun exception(thrown: Throwable): Throwable = when (thrown) {
        is Failure.PackNotFound -> PackNotFoundException(thrown.reason)
        is Failure.PackDamaged -> PackDamagedException(thrown.reason)
        is Failure.PackUnsupported -> PackUnsupportedException(thrown.reason)
        is Failure.Frame -> FrameException(thrown.reason)
        is Failure.Photo -> PhotoException(thrown.reason)
        is Failure.Query -> QueryException(thrown.reason)
        is Failure.UnknownWords -> UnknownWordsException(thrown.reason)
        is Failure.Model -> ModelException(thrown.reason)
        is Failure.Memory ->
            MemoryCeilingException(
                thrown.reason,
                thrown.needed.toLong(),
                thrown.inUse.toLong(),
                thrown.allowed.toLong(),
            )
        is Failure.Product -> ProductException(thrown.reason)
        is Failure.Duplicate -> DuplicateProductException(thrown.reason)
        is Failure.NoSuchProduct -> NoSuchProductException(thrown.reason)
        is Failure.Storage -> StorageException(thrown.reason)
        is Failure.InUse -> PackInUseException(thrown.reason)
        is Failure.Replaced -> PackReplacedException(thrown.reason)
        is Failure.Closed -> EngineClosedException()
        is Failure.Cancelled -> CancellationException("the query was cancelled")
        is Failure.Internal -> LibraryFaultException(thrown.reason)
        is InternalException -> LibraryFaultException("a fault in the library; the query was given up")
        else -> thrown
    }

    inline fun <T> translated(block: () -> T): T = try {
        block()
    } catch (thrown: Failure) {
        throw exception(thrown)
    } catch (thrown: InternalException) {
        throw exception(thrown)
    } catch (broken: CharacterCodingException) {
        throw QueryException("a text holds half a character (a surrogate without its other half)")
    }
}

/** Where a frame's pixels are. */
internal sealed class Pixels {
    class Planes(private val buffers: List<ByteBuffer>) : Pixels() {
        /** From the buffer's position to its limit, which is what an app means by it. */
        fun at(index: Int): ByteBuffer? = buffers.getOrNull(index)?.let {
            if (it.position() == 0 && it.limit() == it.capacity()) it else it.slice()
        }
    }

    /** An `android.graphics.Bitmap`. */
    class Bitmap(val bitmap: Any) : Pixels()
}

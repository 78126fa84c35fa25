package app.shelfsight

import app.shelfsight.internal.Bridge
import app.shelfsight.internal.Failure
import app.shelfsight.internal.FastPath
import app.shelfsight.internal.FfiConverterTypeFailure
import app.shelfsight.internal.FfiConverterTypeRequest
import app.shelfsight.internal.Library
import app.shelfsight.internal.NativeEngine
import app.shelfsight.internal.OpenSettings
import app.shelfsight.internal.ProductRecord
import app.shelfsight.internal.Request
import app.shelfsight.internal.Work
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.flowOf
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.nio.ByteBuffer
import java.util.concurrent.LinkedBlockingQueue
import kotlin.coroutines.CoroutineContext

private val NONE: ByteBuffer = ByteBuffer.allocateDirect(0)

/** What an app can do wrong ends in a typed exception of one line, and the engine works on. */
class RefusalTest {
    @TempDir
    lateinit var folder: File

    private fun direct(size: Int): ByteBuffer = ByteBuffer.allocateDirect(size)

    private fun gray(width: Int, height: Int, plane: Plane, rotation: Int = 0) = Frame.gray(width, height, plane, rotation)

    @Test
    fun `packs that are none`() {
        refused<PackNotFoundException>("missing.shelf") { Engine.open(File(folder, "missing.shelf")) }
        refused<PackNotFoundException>("not a file") { Engine.open(folder) }
        refused<PackNotFoundException>("path is empty") { Engine.open(File("")) }
        refused<QueryException>("threads is -1") { Engine.open(Demo.pack, EngineOptions(threads = -1)) }
        refused<QueryException>("maxMemoryBytes is -7") { Engine.open(Demo.pack, EngineOptions(maxMemoryBytes = -7)) }
        val empty = File(folder, "empty").apply { createNewFile() }
        refused<PackDamagedException>("cut off") { Engine.open(empty) }
        val text = File(folder, "text").apply { writeText("no pack at all, but long enough to hold a header ".repeat(9)) }
        refused<PackDamagedException>("magic") { Engine.open(text) }
        val bytes = Demo.pack.readBytes()
        val cut = File(folder, "cut").apply { writeBytes(bytes.copyOf(bytes.size - 1)) }
        refused<PackDamagedException>("cut off") { Engine.open(cut) }
        bytes[bytes.size / 2] = (bytes[bytes.size / 2].toInt() xor 4).toByte()
        val flipped = File(folder, "flipped").apply { writeBytes(bytes) }
        refused<PackDamagedException>("damaged") { Engine.open(flipped, EngineOptions(verify = true)) }
        refused<PackUnsupportedException>("allowed") { Engine.open(Demo.pack, EngineOptions(maxPackBytes = 1000)) }
    }

    @Test
    fun `frames that are no pictures`() = runBlocking<Unit> {
        Demo.withEngine { engine ->
            fun bad(part: String, frame: Frame) = refused<FrameException>(part) { engine.find(frame) }
            bad("Y plane has 100 B", yuv(100))
            bad("grey plane has 100 B", gray(64, 64, Plane(direct(100), 64, 1)))
            bad("grey plane has 0 B", gray(64, 64, Plane(direct(0), 64, 1)))
            bad("strides", gray(64, 64, Plane(direct(4096), 63, 1)))
            bad("strides", gray(64, 64, Plane(direct(4096), 64, 0)))
            bad("-64", gray(64, 64, Plane(direct(4096), -64, 1)))
            bad("45°", gray(64, 64, Plane(direct(4096), 64, 1), rotation = 45))
            bad("each side", gray(0, 64, Plane(direct(4096), 64, 1)))
            bad("-1", gray(64, -1, Plane(direct(4096), 64, 1)))
            bad("each side", gray(Int.MAX_VALUE, 64, Plane(direct(4096), Int.MAX_VALUE, 1)))
            bad("direct", gray(64, 64, Plane(ByteBuffer.allocate(4096), 64, 1)))
            // Past its limit a buffer is not the frame's.
            bad("grey plane has 4095 B", gray(64, 64, Plane(direct(8192).apply { limit(4095) }, 64, 1)))
            refused<FrameException>("grey plane") { engine.scan(gray(64, 64, Plane(direct(100), 64, 1))) }
            refused<FrameException>("grey plane") { engine.scan(flowOf(gray(64, 64, Plane(direct(100), 64, 1)))).collect() }
            refused<PhotoException>("") { engine.find(Frame.photo(ByteArray(0))) }
            refused<PhotoException>("") { engine.find(Frame.photo("GIF89a and so on".toByteArray())) }
            for (region in listOf(Area(100f, 100f, 10f, 10f), Area(0f, 0f, Float.NaN, 10f), Area(9f, 9f, 0f, -3f))) {
                val frame = gray(64, 64, Plane(direct(4096), 64, 1))
                val reason = refused<FrameException>("no pixel inside") { engine.find(frame, options = FindOptions(region = region)) }.reason
                assertTrue("Rect" !in reason && "64 × 64" in reason, reason)
            }
            // However far a region reaches past the picture, it is cut; a picture of one row needs no stride.
            val far = listOf(1e9f, Float.MAX_VALUE, Float.POSITIVE_INFINITY).map { Area(-it, -it, it * 2, it * 2) }
            val plain = engine.find(gray(64, 64, Plane(direct(4096), 64, 1))).matches
            for (region in far) {
                val frame = gray(64, 64, Plane(direct(4096), 64, 1))
                assertEquals(plain, engine.find(frame, options = FindOptions(region = region)).matches, "$region")
            }
            assertEquals(10, engine.find(gray(64, 1, Plane(direct(64), 0, 1))).matches.size)
            // And after all that it answers.
            assertEquals(1, engine.find("chips", FindOptions(top = 1)).matches.size)
        }
    }

    /** As a caller in Java, or one who forgot a plane, would pass them; the buffers of a frame cannot be null in Kotlin. */
    @Test
    fun `null planes at the border`() {
        Library.load()
        val settings = OpenSettings(verify = false, maxPackBytes = null, maxMemoryBytes = null, threads = 1u)
        val pack = File(folder, "border.shelf").apply { writeBytes(Demo.pack.readBytes()) }
        val native = NativeEngine.open(pack.path, settings)
        val key = native.key().toLong()
        fun reason(vararg planes: ByteBuffer?): String {
            val layout = yuv(4096).layout
            val job = FastPath.begin(key)
            val request = Request(job.toULong(), layout, Work.Find(null, null, 1u, false), emptyList(), barcodes = false)
            val bytes = ByteBuffer.allocate(FfiConverterTypeRequest.allocationSize(request).toInt())
            FfiConverterTypeRequest.write(request, bytes)
            val reply = ByteBuffer.wrap(FastPath.query(key, bytes.array(), planes[0], planes[1], planes[2]))
            FastPath.end(key, job)
            assertEquals(1, reply.get().toInt())
            return (Bridge.exception(FfiConverterTypeFailure.read(reply)) as FrameException).reason
        }
        assertTrue("Y plane has 0 B" in reason(null, direct(1024), direct(1024)))
        assertTrue("U plane has 0 B" in reason(direct(4096), null, direct(1024)))
        assertTrue("V plane has 0 B" in reason(direct(4096), direct(1024), null))
        // A request that is not one, and an engine that never was.
        val broken = ByteBuffer.wrap(FastPath.query(key, ByteArray(3), null, null, null))
        assertEquals(1, broken.get().toInt())
        assertTrue(Bridge.exception(FfiConverterTypeFailure.read(broken)) is LibraryFaultException)
        // A picture to code that is none, codes that are none, a job that never began, and an engine shut meanwhile.
        val bare = ProductRecord("x", "soap", "", "", "", "", emptyList())
        val job = FastPath.begin(key)
        assertThrows<Failure.Frame> { native.query(Request(job.toULong(), null, Work.Code, emptyList(), false), NONE, NONE, NONE) }
        for (code in listOf(ByteArray(0), ByteArray(3), ByteArray(4), ByteArray(200) { it.toByte() })) {
            assertThrows<Failure.Product> { native.add(job.toULong(), bare, listOf(code), false) }
        }
        assertThrows<Failure.Cancelled> { native.add(987_654u, bare, emptyList(), false) }
        FastPath.cancel(key, job)
        assertThrows<Failure.Cancelled> { native.add(job.toULong(), bare, emptyList(), false) }
        assertThrows<Failure.NoSuchProduct> { native.remove("") }
        native.shut()
        assertThrows<Failure.Closed> { native.add(job.toULong(), bare, emptyList(), false) }
        assertThrows<Failure.Closed> { native.remove("x") }
        assertThrows<Failure.Closed> { native.compact() }
        assertEquals(-1, FastPath.begin(key))
        FastPath.cancel(key, 7)
        FastPath.end(-5, 7)
    }

    private fun yuv(bytes: Int) = Frame.yuv420(
        64, 64, Plane(direct(bytes), 64, 1), Plane(direct(1024), 32, 1), Plane(direct(1024), 32, 1),
    )

    @Test
    fun `queries that ask nothing or too much`() = runBlocking<Unit> {
        Demo.withEngine { engine ->
            refused<QueryException>("nothing to look for") { engine.find() }
            refused<QueryException>("nothing to look for") { engine.find("   ") }
            refused<QueryException>("10000") { engine.find("chips", FindOptions(top = 10_001)) }
            refused<QueryException>("top is -1") { engine.find("chips", FindOptions(top = -1)) }
            refused<QueryException>("maxBoxes is -2") { engine.scan(Frame.photo(Demo.shelf.readBytes()), ScanOptions(maxBoxes = -2)) }
            refused<QueryException>("rounds is -3") { engine.benchmark(rounds = -3).collect() }
            refused<UnknownWordsException>("none of these words") { engine.find("☃") }
            assertTrue(UnknownWordsException("x") is QueryException)
            // With a picture, words that say nothing are left aside.
            assertTrue(engine.find(Frame.photo(Demo.photos[0].readBytes()), "☃").matches.isNotEmpty())
            refused<QueryException>("title") {
                val odd = ScanOptions(filters = Filters(listOf(Filters.Condition("title", listOf("x")))))
                engine.scan(flowOf(yuv(4096)), odd).collect()
            }
            refused<QueryException>("empty value") {
                engine.find("chips", FindOptions(filters = filters { brand anyOf emptyList() }))
            }
            refused<QueryException>("attr.") { engine.find("chips", FindOptions(filters = filters { attribute("") eq "x" })) }
            assertEquals(0, engine.find("chips", FindOptions(top = 0)).matches.size)
            refused<QueryException>("surrogate") { engine.find("chips \uD83C") }
            // A name is a name, whatever signs it holds: no product has such a column.
            for (name in listOf("colour!", "colour=x", "colour ")) {
                val odd = FindOptions(filters = filters { attribute(name) eq "orange" })
                assertEquals(0, engine.find("chips", odd).matches.size, name)
            }
        }
    }

    @Test
    fun `filters are equal when they ask the same`() {
        val one = filters {
            brand anyOf listOf("a", "b")
            category eq "c"
        }
        val same = filters {
            category eq "c"
            brand anyOf listOf("b", "a", "b")
        }
        assertEquals(one, same)
        assertEquals(one.hashCode(), same.hashCode())
        // What reads alike is not alike.
        assertNotEquals(filters { brand anyOf listOf("a", "b") }, filters { brand eq "a or b" })
        assertNotEquals(filters { brand eq "a" }, filters { category eq "a" })
        assertEquals(ScanOptions(filters = one), ScanOptions(filters = same))
    }

    @Test
    fun `opening that is cancelled leaves nothing open`() = runBlocking<Unit> {
        val copy = File(folder, "cancelled.shelf").apply { writeBytes(Demo.pack.readBytes()) }
        fun mapped() = File("/proc/self/maps").readLines().count { "cancelled.shelf" in it }
        // The caller's thread and the engine's are this one, and run when they are told to.
        val (turns, work) = List(2) { LinkedBlockingQueue<Runnable>() }
        fun byHand(queue: LinkedBlockingQueue<Runnable>) = object : CoroutineDispatcher() {
            override fun dispatch(context: CoroutineContext, block: Runnable) = queue.put(block)
        }
        var got: Engine? = null
        val opening = CoroutineScope(byHand(turns)).launch { got = Engine.open(copy, EngineOptions(dispatcher = byHand(work))) }
        turns.take().run()
        work.take().run()
        // The pack is open, and its engine on its way to the caller.
        val arrival = turns.take()
        assertTrue(mapped() > 0)
        opening.cancel()
        arrival.run()
        while (!opening.isCompleted) (turns.poll() ?: work.poll())?.run()
        assertNull(got)
        assertEquals(0, mapped())
        Engine.open(copy).use { assertTrue(mapped() > 0) }
        assertEquals(0, mapped())
    }

    @Test
    fun `a library that cannot be loaded is told each time`() {
        val java = File(System.getProperty("java.home"), "bin/java").path
        val path = System.getProperty("surefire.test.class.path") ?: System.getProperty("java.class.path")
        for (library in listOf(File(folder, "none.so"), File(folder, "text.so").apply { writeText("not a library") })) {
            val run = ProcessBuilder(java, "-Dshelfsight.library.path=$library", "-cp", path, "app.shelfsight.Unavailable", Demo.pack.path)
                .redirectError(ProcessBuilder.Redirect.DISCARD).start()
            val said = run.inputStream.bufferedReader().readLines()
            assertEquals(0, run.waitFor(), "$said")
            assertEquals(List(3) { "LibraryUnavailableException: the library shelfsight_ffi cannot be loaded" }, said)
        }
    }

    @Test
    fun `a frame or an engine that is closed`() = runBlocking<Unit> {
        val engine = Engine.open(Demo.pack)
        val frame = gray(64, 64, Plane(direct(4096), 64, 1))
        engine.find(frame)
        frame.close()
        frame.close()
        refused<FrameException>("closed") { engine.find(frame) }
        engine.close()
        engine.close()
        refused<EngineClosedException>("closed") { engine.find("chips") }
        refused<EngineClosedException>("closed") { engine.scan(Frame.photo(Demo.shelf.readBytes())) }
        refused<EngineClosedException>("closed") { engine.scan(flowOf<Frame>()).collect() }
        refused<EngineClosedException>("closed") { engine.verify().collect() }
        refused<EngineClosedException>("closed") { engine.warmUp() }
        assertTrue(engine.info.products > 0)
    }

    @Test
    fun `a memory ceiling`() = runBlocking<Unit> {
        Demo.withEngine(EngineOptions(maxMemoryBytes = 1 shl 20)) { engine ->
            val thrown = refused<MemoryCeilingException>("ceiling") { engine.scan(Frame.photo(Demo.shelf.readBytes())) }
            assertEquals(1L shl 20, thrown.allowed)
            assertTrue(thrown.needed > thrown.allowed && thrown.inUse == 0L)
        }
        Demo.withEngine(EngineOptions(maxMemoryBytes = 256L shl 20)) { engine ->
            assertTrue(engine.scan(Frame.photo(Demo.shelf.readBytes())).items.isNotEmpty())
        }
    }

    @Test
    fun `a pack replaced while open stays what it was, beside the new one`() = runBlocking<Unit> {
        val copy = File(folder, "copy.shelf").apply { writeBytes(Demo.pack.readBytes()) }
        Engine.open(copy).use { first ->
            Packs.import(copy) { Demo.pack.inputStream() }.collect()
            Engine.open(copy).use { second ->
                val options = FindOptions(top = 3)
                assertEquals(first.find("chips", options).matches, second.find("chips", options).matches)
            }
            assertEquals(1, first.find("chips", FindOptions(top = 1)).matches.size)
        }
    }

    @Test
    fun `a pack removed while open goes on until it is closed`() = runBlocking<Unit> {
        val copy = File(folder, "copy.shelf").apply { writeBytes(Demo.pack.readBytes()) }
        Engine.open(copy).use { engine ->
            assertTrue(copy.delete())
            assertEquals(1, engine.find("chips", FindOptions(top = 1)).matches.size)
            assertTrue(engine.scan(Frame.photo(Demo.shelf.readBytes())).items.isNotEmpty())
            // It opens the pack anew.
            refused<PackNotFoundException>("copy.shelf") { engine.benchmark(rounds = 1).collect() }
        }
        refused<PackNotFoundException>("copy.shelf") { Engine.open(copy) }
    }
}

/** A process whose native library is not there; says what each way of opening throws. */
object Unavailable {
    @JvmStatic
    fun main(arguments: Array<String>) = runBlocking<Unit> {
        val pack = File(arguments[0])
        val ways = listOf<suspend () -> Unit>(
            { Engine.open(pack) },
            { Engine.open(pack) },
            { Packs.import(File(pack.parentFile, "never.shelf")) { pack.inputStream() }.collect() },
        )
        for (way in ways) {
            val thrown = runCatching { way() }.exceptionOrNull()
            println("${thrown?.javaClass?.simpleName}: ${thrown?.message?.substringBefore(" (")}")
        }
    }
}

package app.shelfsight

import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.io.IOException
import java.io.InputStream
import java.io.PipedInputStream
import java.io.PipedOutputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicBoolean
import java.util.concurrent.atomic.AtomicLong
import java.util.zip.CRC32
import kotlin.system.measureNanoTime

class ImportTest {
    @TempDir
    lateinit var folder: File

    private val target by lazy { File(folder, "shop.shelf") }
    private val old = "the pack before".toByteArray()

    /** However an import ends, nothing of it is left. */
    @AfterEach
    fun nothingIsLeft() = assertFalse(folder.list()!!.any { it.endsWith(".part") }, folder.list()!!.toList().toString())

    /** Endless; counts what is read of it. */
    private class Endless(private val begin: ByteArray) : InputStream() {
        val read = AtomicLong()
        val closed = AtomicBoolean()
        override fun read(): Int = begin.getOrElse(read.getAndIncrement().toInt()) { 7 }.toInt() and 255
        override fun read(bytes: ByteArray, from: Int, length: Int): Int {
            for (i in from until from + length) bytes[i] = read().toByte()
            return length
        }

        override fun close() = closed.set(true)
    }

    /** Gives a pack's first half, then waits for ever and heeds nothing. */
    private class Deaf : InputStream() {
        private val begin = Demo.pack.readBytes().let { it.copyOf(it.size / 2) }.inputStream()
        val never = CountDownLatch(1)
        val waits = CountDownLatch(1)
        override fun read(): Int = begin.read().also { if (it < 0) waitForEver() }
        override fun read(bytes: ByteArray, from: Int, length: Int): Int =
            begin.read(bytes, from, length).also { if (it < 0) waitForEver() }

        fun waitForEver() {
            waits.countDown()
            while (never.count > 0) runCatching { never.await() }
        }

        // Whoever closes it waits too.
        override fun close() = waitForEver()
    }

    @Test
    fun `a pack is imported whole or not at all`() = runBlocking<Unit> {
        val steps = Packs.import(target) { Demo.pack.inputStream() }.toList()
        assertEquals(240, steps.last().result!!.products)
        assertTrue(steps.all { it.total == Demo.pack.length() && it.fraction in 0f..1f })
        Engine.open(target).use { old ->
            val damaged = Demo.pack.readBytes().also { it[it.size / 3] = (it[it.size / 3] + 1).toByte() }
            refused<PackDamagedException>("damaged") { Packs.import(target) { damaged.inputStream() }.collect() }
            assertEquals(listOf("shop.shelf"), folder.list()!!.toList())
            // A new one takes its place under an engine that has the old one open.
            Packs.import(target) { Demo.pack.inputStream() }.collect()
            assertTrue(old.find("chips").matches.isNotEmpty())
        }
        // A name as short as names get.
        Packs.import(File(folder, "p")) { Demo.pack.inputStream() }.collect()
    }

    @Test
    fun `what is no pack is refused by its first bytes`() = runBlocking<Unit> {
        target.writeBytes(old)
        val video = Endless(byteArrayOf(0, 0, 0, 32) + "ftypisom".toByteArray())
        refused<PackDamagedException>("magic") { Packs.import(target) { video }.collect() }
        assertTrue(video.read.get() <= 64, "${video.read} bytes read")
        assertTrue(video.closed.get())
        val large = Endless(Demo.pack.readBytes().copyOf(64))
        refused<PackUnsupportedException>("allowed") { Packs.import(target, maxBytes = 1000) { large }.collect() }
        assertTrue(large.read.get() <= 64, "${large.read} bytes read")
        refused<QueryException>("maxBytes is -1") { Packs.import(target, maxBytes = -1) { large }.collect() }
        // One that goes on after its end is not read on.
        val longer = Endless(Demo.pack.readBytes())
        refused<PackDamagedException>("header says") { Packs.import(target) { longer }.collect() }
        assertTrue(longer.read.get() < Demo.pack.length() + (1 shl 20), "${longer.read} bytes read")
        for (length in listOf(0, 63, 64, 100_000)) {
            val cut = Demo.pack.readBytes().copyOf(length)
            refused<PackDamagedException>("cut off") { Packs.import(target) { cut.inputStream() }.collect() }
        }
        assertArrayEquals(old, target.readBytes())
    }

    @Test
    fun `what the source throws arrives as a failed source`() = runBlocking<Unit> {
        target.writeBytes(old)
        val failures = listOf(
            IOException("unplugged"),
            SecurityException("not yours"),
            IllegalStateException("gone\nfor good"),
            // A source that gave up by itself was not given up by the caller, who would wait for ever for its end.
            CancellationException("timed out"),
            InterruptedException("interrupted"),
        )
        for (thrown in failures) {
            val first = thrown.message!!.lines().first()
            val opening = refused<PackSourceException>(first) { Packs.import(target) { throw thrown }.collect() }
            assertTrue(generateSequence<Throwable>(opening) { it.cause }.any { it === thrown })
            val reading = object : InputStream() {
                override fun read(): Int = throw thrown
            }
            refused<PackSourceException>(first) { Packs.import(target) { reading }.collect() }
        }
        assertArrayEquals(old, target.readBytes())
    }

    @Test
    fun `a target that cannot be written is refused`() = runBlocking<Unit> {
        val taken = File(folder, "taken").apply { mkdirs() }
        val source = { Demo.pack.inputStream() }
        refused<StorageException>("cannot be put here") { Packs.import(taken, source = source).collect() }
        refused<StorageException>("nowhere") { Packs.import(File(folder, "nowhere/shop.shelf"), source = source).collect() }
        val file = File(folder, "file").apply { writeText("no folder") }
        refused<StorageException>("file") { Packs.import(File(file, "shop.shelf"), source = source).collect() }
        refused<StorageException>("names no file") { Packs.import(File("/"), source = source).collect() }
    }

    @Test
    fun `cancelled, it ends although its source blocks`() = runBlocking<Unit> {
        target.writeBytes(old)
        suspend fun cancelled(waits: () -> Unit, source: () -> InputStream) {
            val job = launch(Dispatchers.Default) { Packs.import(target, source = source).collect() }
            waits()
            delay(50)
            val end = measureNanoTime { job.cancelAndJoin() } / 1e6
            assertTrue(end < 1000, "cancelling took $end ms")
            assertEquals(listOf("shop.shelf"), folder.list()!!.toList())
            assertArrayEquals(old, target.readBytes())
        }
        // One that an interruption ends.
        val pipe = PipedInputStream(PipedOutputStream())
        cancelled({ Thread.sleep(100) }) { pipe }
        // One that nothing ends, while it is read and while it is opened.
        val reading = Deaf()
        cancelled({ reading.waits.await() }) { reading }
        val opening = Deaf()
        cancelled({ opening.waits.await() }) { opening.apply { waitForEver() } }
        // When they do end, long after, they change nothing.
        reading.never.countDown()
        opening.never.countDown()
        delay(200)
        assertEquals(listOf("shop.shelf"), folder.list()!!.toList())
        // Nor does one whose first steps were enough.
        val left = Deaf()
        Packs.import(target) { left }.first()
        left.never.countDown()
        assertArrayEquals(old, target.readBytes())
        Packs.import(target) { Demo.pack.inputStream() }.collect()
        Engine.open(target).use { assertEquals(240, it.info.products) }
    }

    @Test
    fun `a source that opens after the import was cancelled is closed`() = runBlocking<Unit> {
        val opening = CountDownLatch(1)
        val opens = CountDownLatch(1)
        // Heeds closing alone, and only then ends.
        val late = object : InputStream() {
            val closed = CountDownLatch(1)
            override fun read(): Int {
                while (closed.count > 0) runCatching { closed.await() }
                throw IOException("closed")
            }

            override fun close() = closed.countDown()
        }
        val job = launch(Dispatchers.Default) {
            Packs.import(target) {
                opening.countDown()
                while (opens.count > 0) runCatching { opens.await() }
                late
            }.collect()
        }
        opening.await()
        job.cancelAndJoin()
        opens.countDown()
        assertTrue(late.closed.await(5, TimeUnit.SECONDS), "it is open still")
    }

    @Test
    fun `what a killed process left gives its room to the next try`() = runBlocking<Unit> {
        val left = File(folder, "shop.shelf---123.part").apply { writeText("half a pack, a minute ago") }
        val slow = Deaf()
        val other = launch(Dispatchers.Default) { Packs.import(target) { slow }.collect() }
        slow.waits.await()
        // The header of a pack for which no disk has room: its length is at byte 16, a checksum at the end.
        val huge = Demo.pack.readBytes().copyOf(64)
        ByteBuffer.wrap(huge).order(ByteOrder.LITTLE_ENDIAN).run {
            putLong(16, 1L shl 60)
            putInt(60, CRC32().apply { update(huge, 0, 60) }.value.toInt())
        }
        refused<StorageException>("make room") { Packs.import(target, maxBytes = Long.MAX_VALUE) { huge.inputStream() }.collect() }
        assertFalse(left.exists())
        // What is copied now is not touched.
        assertEquals(1, folder.list()!!.count { it.endsWith(".part") })
        other.cancelAndJoin()
        slow.never.countDown()
    }

    @Test
    fun `what a killed process left is swept`() = runBlocking<Unit> {
        val stale = File(folder, "shop.shelf---123.part").apply { writeText("half a pack") }
        stale.setLastModified(System.currentTimeMillis() - 48L * 3600 * 1000)
        val other = File(folder, "other.shelf---123.part").apply { writeText("of another target") }
        other.setLastModified(stale.lastModified())
        Packs.import(target) { Demo.pack.inputStream() }.collect()
        assertEquals(setOf("shop.shelf", other.name), folder.list()!!.toSet())
        assertTrue(other.delete())
    }
}

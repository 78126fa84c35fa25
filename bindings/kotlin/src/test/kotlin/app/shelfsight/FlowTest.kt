package app.shelfsight

import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.flowOf
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.awt.image.BufferedImage
import java.io.IOException
import java.util.concurrent.atomic.AtomicInteger

class FlowTest {
    /** A camera that looks at the shelf through a window at (x, 0). */
    private class Camera(width: Int, private val shelf: BufferedImage = Demo.smaller(Demo.image(Demo.shelf), 900)) {
        private val view = width to shelf.height
        private val yuv = HashMap<Int, Demo.Yuv>()
        val opened = AtomicInteger()
        val closed = AtomicInteger()

        fun frame(x: Int): Frame {
            opened.incrementAndGet()
            val seen = yuv.getOrPut(x) { Demo.Yuv(view.first, view.second).fill { column, row -> shelf.getRGB(x + column, row) } }
            return seen.frame { closed.incrementAndGet() }
        }
    }

    /** A camera that waits until its last frame was answered. */
    private class Patient(places: List<Int>, private val frame: (Int) -> Frame) {
        private val answers = Channel<Unit>(Channel.UNLIMITED)
        val frames = flow {
            for (place in places) {
                emit(frame(place))
                answers.receive()
            }
        }

        fun answered() {
            answers.trySend(Unit)
        }
    }

    private val eager = Pace(maxDetectionsPerSecond = 100f, duty = 1f)

    @Test
    fun `the newest frame wins and every frame is closed`() = runBlocking<Unit> {
        val camera = Camera(600)
        Demo.withEngine { engine ->
            engine.warmUp()
            val frames: Flow<Frame> = flow {
                for (i in 0 until 100) {
                    emit(camera.frame(if (i < 50) 0 else 300))
                    delay(2)
                }
            }
            val results = engine.scan(frames, pace = eager.copy(skipUnchanged = false, track = false)).toList()
            assertTrue(results.size in 1..60, "${results.size} results")
            assertEquals(100, camera.opened.get())
            assertEquals(100, camera.closed.get())
            // The last frame is never dropped.
            val last = engine.scan(camera.frame(300))
            assertEquals(last.items.map { it.best?.product?.id }, results.last().items.map { it.best?.product?.id })
        }
    }

    @Test
    fun `unchanged frames are answered from before, moved boxes keep their numbers`() = runBlocking<Unit> {
        val camera = Camera(700)
        Demo.withEngine { engine ->
            suspend fun pan(places: List<Int>, pace: Pace): List<ScanResult> {
                val patient = Patient(places) { camera.frame(it) }
                return engine.scan(patient.frames, pace = pace).onEach { patient.answered() }.toList()
            }
            val still = pan(List(10) { 0 }, Pace())
            assertEquals(10, still.size)
            assertEquals(Effort.DETECTED, still.first().effort)
            assertTrue(still.drop(1).all { it.effort == Effort.UNCHANGED })
            assertEquals(still.first().items, still.last().items)
            // Slow detection, so that boxes are carried along.
            val moved = pan(listOf(0, 8, 16, 24, 32), Pace(maxDetectionsPerSecond = 0.1f))
            assertEquals(5, moved.size)
            assertTrue(moved.drop(1).all { it.effort == Effort.MOVED }, moved.map { it.effort }.toString())
            val first = moved.first().items.associateBy { it.track }
            var compared = 0
            for (item in moved.last().items) {
                val before = first.getValue(item.track)
                assertEquals(before.best?.product?.id, item.best?.product?.id)
                if (before.area.x > 40 && before.area.x + before.area.width < 690) {
                    assertEquals(before.area.x - 32, item.area.x, 6f)
                    compared++
                }
            }
            assertTrue(compared > 5, "$compared boxes compared")
        }
    }

    @Test
    fun `what the camera throws arrives, and leaving early closes what waits`() = runBlocking<Unit> {
        Demo.withEngine { engine ->
            val broken = flow<Frame> { throw IOException("unplugged") }
            assertEquals("unplugged", runCatching { engine.scan(broken).collect() }.exceptionOrNull()?.message)
            val camera = Camera(600)
            val endless = flow { while (true) { emit(camera.frame(0)); delay(1) } }
            engine.scan(endless).take(3).collect()
            assertEquals(camera.opened.get(), camera.closed.get())
            assertEquals(emptyList<ScanResult>(), engine.scan(flowOf()).toList())
        }
    }

    @Test
    fun `ten thousand frames leave no trace`() = runBlocking<Unit> {
        val camera = Camera(400, Demo.smaller(Demo.image(Demo.shelf), 480))
        Demo.withEngine { engine ->
            suspend fun run(count: Int): Int {
                val efforts = AtomicInteger()
                val patient = Patient(List(count) { it / 50 % 4 * 20 }) { camera.frame(it) }
                engine.scan(patient.frames, ScanOptions(maxBoxes = 4, barcodes = false), Pace(100f, 0.4f)).collect {
                    if (it.effort == Effort.DETECTED) efforts.incrementAndGet()
                    patient.answered()
                }
                repeat(count / 100) { camera.frame(0).use { engine.find(it, options = FindOptions(barcodes = false)) } }
                return efforts.get()
            }
            fun heap(): Long {
                repeat(3) { System.gc() }
                return Runtime.getRuntime().let { it.totalMemory() - it.freeMemory() } / 1024
            }
            run(2_000)
            val (heapBefore, before) = heap() to Demo.resident() / 1024
            val detections = run(10_000)
            val (heapGrown, grown) = heap() - heapBefore to Demo.resident() / 1024 - before
            println("10,000 frames, $detections detections, 100 finds: $grown kB more in memory, $heapGrown kB in the heap")
            assertTrue(detections >= 5, "$detections detections")
            assertTrue(grown < 8_000, "$grown kB more in memory")
            assertTrue(heapGrown < 2_000, "$heapGrown kB more in the heap")
            assertEquals(camera.opened.get(), camera.closed.get())
        }
    }

    @Test
    fun `long work tells how far it is`() = runBlocking<Unit> {
        Demo.withEngine { engine ->
            val steps = engine.verify().toList()
            assertEquals(engine.info, steps.last().result)
            assertEquals(1f, steps.last().fraction)
            assertTrue(steps.zipWithNext().all { (a, b) -> a.done <= b.done })
            // Leaving early stops it.
            assertTrue(engine.verify().first().done >= 0)
            val probes = Demo.photos.take(3).map { it.readBytes() to setOf(it.nameWithoutExtension) }
            val facts = mapOf("model" to "JVM")
            val report = engine.benchmark(probes, Demo.shelf.readBytes(), rounds = 2, facts = facts).toList().last().result!!
            val json = com.google.gson.JsonParser.parseString(report).asJsonObject
            assertEquals("shelfsight-bench/1", json["schema"].asString)
            assertEquals("JVM", json.getAsJsonObject("device")["model"].asString)
            assertEquals(3, json.getAsJsonObject("recall")["probes"].asInt)
            for (stage in listOf("open", "encode_image", "encode_text", "search_image", "scan", "cancel")) {
                assertTrue(json.getAsJsonObject("ms").getAsJsonObject(stage)["p50"].asDouble > 0, stage)
            }
        }
    }

    @Test
    fun `heat told before a flow begins holds for it`() = runBlocking<Unit> {
        val camera = Camera(700)
        suspend fun efforts(engine: Engine): List<Effort> {
            val patient = Patient(listOf(0, 8, 16, 24)) { camera.frame(it) }
            val pace = eager.copy(skipUnchanged = false)
            return engine.scan(patient.frames, pace = pace).onEach { patient.answered() }.toList().map { it.effort }
        }
        Demo.withEngine { engine ->
            engine.warmUp()
            assertEquals(List(4) { Effort.DETECTED }, efforts(engine))
            engine.heat(Heat.CRITICAL)
            assertEquals(listOf(Effort.DETECTED) + List(3) { Effort.MOVED }, efforts(engine))
            engine.heat(Heat.NOMINAL)
            assertEquals(List(4) { Effort.DETECTED }, efforts(engine))
        }
    }

    @Test
    fun `what giving a frame back throws ends the flow`() = runBlocking<Unit> {
        val camera = Camera(600)
        Demo.withEngine { engine ->
            engine.warmUp()
            val opened = AtomicInteger()
            val closed = AtomicInteger()
            val picture = Demo.Yuv(600, 400).fill { x, y -> x * y }
            // Frames come faster than they are looked at, so that some are dropped unseen.
            val frames = flow {
                while (true) {
                    val number = opened.getAndIncrement()
                    emit(picture.frame {
                        closed.incrementAndGet()
                        if (number == 5) throw IllegalStateException("this image is not mine")
                    })
                    delay(1)
                }
            }
            val thrown = runCatching { engine.scan(frames, pace = eager).collect() }.exceptionOrNull()
            assertTrue(thrown is IllegalStateException && "not mine" in thrown.message!!, thrown.toString())
            assertEquals(opened.get(), closed.get())
            assertTrue(engine.scan(camera.frame(0)).items.isNotEmpty())
        }
    }
}

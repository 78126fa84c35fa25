//! What the invented shop sells: brands that do not exist, and lines of products with their flavours and sizes.

use super::pictogram::Picture;
use crate::canvas::Rgb;

/// Shape of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pack {
    Box,
    WideBox,
    Bag,
    Pouch,
    Bar,
    Carton,
    Can,
    Tin,
    Bottle,
    Flask,
    Jar,
    Cup,
    Tub,
}

impl Pack {
    /// Width and height on the shelf in units (about half a millimetre).
    pub(crate) fn extent(self) -> (f32, f32) {
        match self {
            Self::Box => (250.0, 370.0),
            Self::WideBox => (300.0, 190.0),
            Self::Bag => (260.0, 360.0),
            Self::Pouch => (190.0, 330.0),
            Self::Bar => (150.0, 330.0),
            Self::Carton => (160.0, 390.0),
            Self::Can => (130.0, 236.0),
            Self::Tin => (160.0, 200.0),
            Self::Bottle => (124.0, 410.0),
            Self::Flask => (150.0, 360.0),
            Self::Jar => (160.0, 220.0),
            Self::Cup => (170.0, 176.0),
            Self::Tub => (230.0, 170.0),
        }
    }

    /// The word for people.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Box | Self::WideBox => "box",
            Self::Bag => "bag",
            Self::Pouch => "pouch",
            Self::Bar => "bar",
            Self::Carton => "carton",
            Self::Can => "can",
            Self::Tin => "tin",
            Self::Bottle | Self::Flask => "bottle",
            Self::Jar => "jar",
            Self::Cup => "cup",
            Self::Tub => "tub",
        }
    }

    /// Bodies of revolution: their label goes round.
    pub(crate) fn round(self) -> bool {
        use Pack::*;
        matches!(self, Can | Tin | Bottle | Flask | Jar | Cup | Tub)
    }
}

/// A variety of a product line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flavour {
    pub name: &'static str,
    pub colour: &'static str,
    pub accent: Rgb,
    pub picture: Picture,
}

/// Things sold under one name in several varieties.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub noun: &'static str,
    pub category: &'static str,
    pub packs: &'static [Pack],
    /// Usual size first; the others are as in a shop the small or the family package.
    pub sizes: &'static [&'static str],
    pub flavours: &'static [Flavour],
    pub blurb: &'static str,
    pub contents: &'static str,
}

pub(crate) const BRANDS: &[&str] = &[
    "Nordavik",
    "Solvina",
    "Bramblo",
    "Kettlewood",
    "Marenda",
    "Olivaro",
    "Pipkin's",
    "Tarrafel",
    "Quillby",
    "Zestora",
    "Humboldt & Fig",
    "Lumo",
    "Casa Verrani",
    "Old Harbour",
    "Vidalune",
    "Brio Bay",
    "Frostling",
    "Miravelle",
    "Oakhurst",
    "Tante Rosl",
    "Puffin Co.",
    "Sunder",
    "Aurelia",
    "Grano d'Or",
    "Kibo",
    "Wildmeer",
    "Dr. Hollis",
    "Petit Jardin",
    "Ravello",
    "Yumzi",
    "Elmfield",
    "Blue Heron",
    "Karavan",
    "Moxi",
    "Saint Alder",
    "Nutkin",
    "Terramia",
    "Voltz",
    "Bellweather",
    "Orsino",
];

/// Words on a badge; most packages carry none.
pub(crate) const CLAIMS: &[&str] = &[
    "BIO",
    "NEW",
    "VEGAN",
    "-30% SUGAR",
    "GLUTEN FREE",
    "100% NATURAL",
    "NO ADDED SUGAR",
    "FAIR",
    "+20% EXTRA",
];

macro_rules! flavours {
    ($($name:literal $colour:literal ($r:literal $g:literal $b:literal) $picture:ident),* $(,)?) => {
        &[$(Flavour { name: $name, colour: $colour, accent: Rgb($r, $g, $b), picture: Picture::$picture }),*]
    };
}

const FRUIT: &[Flavour] = flavours![
    "Strawberry" "red" (214 40 57) Strawberry, "Blueberry" "blue" (62 74 160) Berries, "Lemon" "yellow" (244 205 40) Citrus,
    "Orange" "orange" (243 134 33) Citrus, "Apple" "green" (122 178 52) Apple, "Cherry" "crimson" (158 20 48) Cherry,
    "Peach" "peach" (250 172 120) Apple, "Raspberry" "magenta" (204 38 104) Berries, "Vanilla" "cream" (243 226 170) Flower,
    "Coconut" "white" (226 226 220) Coconut, "Blackcurrant" "purple" (88 38 110) Berries,
];
const SNACK: &[Flavour] = flavours![
    "Sea Salt" "blue" (42 110 188) Wave, "Paprika" "red" (204 44 34) Chili, "Sour Cream & Onion" "green" (84 160 76) Leaf,
    "Sweet Chili" "orange" (236 100 32) Chili, "Mature Cheese" "yellow" (246 190 40) Cheese, "Rosemary" "olive" (122 132 62) Leaf,
    "Smoky Barbecue" "brown" (120 58 34) Flame,
];
const COFFEE: &[Flavour] = flavours![
    "Espresso" "black" (40 30 28) Bean, "Crema" "gold" (190 140 70) Cup, "Decaf" "green" (80 130 96) Leaf,
    "Colombia" "red" (178 52 44) Mountain, "Ethiopia" "orange" (220 140 50) Sun, "House Blend" "blue" (46 82 130) Cup,
];
const TEA: &[Flavour] = flavours![
    "Peppermint" "green" (60 156 104) Leaf, "Earl Grey" "blue" (58 84 140) Cup, "Camomile" "yellow" (240 200 70) Flower,
    "Rooibos" "red" (182 66 40) Sun, "Ginger Lemon" "lime" (190 190 50) Citrus, "Wild Berries" "purple" (130 46 120) Berries,
];
const CHOCOLATE: &[Flavour] = flavours![
    "Milk" "blue" (70 110 190) Drop, "Dark 70%" "black" (52 34 30) Bean, "Hazelnut" "green" (70 130 80) Nut,
    "Almond" "orange" (222 140 60) Nut, "White" "cream" (244 232 204) Flower, "Salted Caramel" "gold" (208 150 60) Wave,
    "Orange" "orange" (238 120 30) Citrus, "Raspberry" "magenta" (196 40 96) Berries,
];
const PASTA: &[Flavour] = flavours![
    "Fusilli" "blue" (40 84 160) Pasta, "Penne" "red" (196 44 44) Pasta, "Farfalle" "green" (60 140 84) Pasta,
    "Spaghetti" "yellow" (232 184 48) Wheat, "Wholewheat Penne" "brown" (140 92 52) Wheat,
];
const SOUP: &[Flavour] = flavours![
    "Tomato" "red" (206 48 38) Tomato, "Pumpkin" "orange" (238 140 38) Bowl, "Lentil" "brown" (150 96 50) Bowl,
    "Mushroom" "beige" (190 164 130) Mushroom, "Garden Pea" "green" (104 164 62) Leaf, "Chicken Noodle" "yellow" (240 198 70) Bowl,
];
const SAUCE: &[Flavour] = flavours![
    "Basilico" "green" (70 140 66) Leaf, "Arrabbiata" "red" (200 36 30) Chili, "Napoletana" "tomato" (220 72 44) Tomato,
    "Olive" "olive" (112 118 54) Olive, "Mushroom" "brown" (140 104 76) Mushroom, "Four Cheese" "yellow" (240 204 90) Cheese,
];
const PRESERVED: &[Flavour] = flavours![
    "Sweetcorn" "yellow" (246 200 44) Corn, "Chickpeas" "beige" (216 180 120) Bowl, "Red Kidney Beans" "crimson" (150 36 44) Bean,
    "Chopped Tomatoes" "red" (214 52 40) Tomato, "Tuna in Brine" "blue" (44 112 176) Fish, "Tuna in Oil" "gold" (222 168 48) Fish,
    "Sliced Mushrooms" "brown" (150 116 84) Mushroom, "Garden Peas" "green" (96 158 64) Leaf,
];
const SODA: &[Flavour] = flavours![
    "Cola" "red" (200 30 40) Bubbles, "Cola Zero" "black" (36 34 38) Bubbles, "Lemon Lime" "green" (60 168 84) Citrus,
    "Orange" "orange" (244 128 28) Citrus, "Cherry" "crimson" (150 20 60) Cherry, "Ginger" "gold" (206 160 70) Star,
    "Elderflower" "lilac" (176 160 210) Flower,
];
const ENERGY: &[Flavour] = flavours![
    "Original" "silver" (150 160 176) Bolt, "Sugarfree" "blue" (60 150 220) Bolt, "Tropical" "orange" (246 140 40) Sun,
    "Ice Berry" "purple" (120 70 180) Berries, "Watermelon" "pink" (236 80 110) Drop,
];
const WATER: &[Flavour] = flavours![
    "Still" "blue" (60 150 214) Drop, "Gently Sparkling" "green" (70 170 140) Drop, "Sparkling" "navy" (30 70 150) Bubbles,
    "Lemon" "yellow" (242 210 60) Citrus,
];
const MILK: &[Flavour] = flavours![
    "Whole 3.5%" "blue" (36 92 180) Cow, "Semi-Skimmed 1.5%" "sky" (110 180 226) Cow, "Skimmed 0.1%" "red" (204 60 70) Cow,
    "Lactose Free" "violet" (130 90 170) Drop, "Organic Whole" "green" (80 150 74) Cow,
];
const PLANT: &[Flavour] = flavours![
    "Oat" "sand" (212 186 134) Wheat, "Oat Barista" "black" (50 48 52) Wheat, "Almond" "brown" (176 118 72) Nut,
    "Soya" "green" (118 168 84) Leaf, "Coconut" "white" (232 232 226) Coconut, "Rice" "blue" (96 150 206) Drop,
];
const CEREAL: &[Flavour] = flavours![
    "Honey Rings" "yellow" (246 186 40) Bee, "Choco Puffs" "brown" (110 64 38) Cookie, "Berry Crunch" "purple" (140 52 130) Berries,
    "Nut Granola" "green" (104 138 70) Nut, "Cinnamon Squares" "orange" (206 110 50) Star, "Classic Flakes" "red" (208 44 48) Wheat,
];
const COOKIES: &[Flavour] = flavours![
    "Butter" "yellow" (246 206 80) Cookie, "Double Chocolate" "brown" (92 54 38) Cookie, "Oat & Raisin" "green" (120 140 80) Wheat,
    "Lemon Cream" "lime" (214 214 70) Citrus, "Ginger" "orange" (208 120 44) Star, "Hazelnut" "red" (170 60 48) Nut,
];
const HONEY: &[Flavour] = flavours![
    "Acacia" "yellow" (246 200 70) Bee, "Forest" "green" (70 110 66) Bee, "Wild Blossom" "orange" (240 160 50) Flower,
    "Chestnut" "brown" (128 78 40) Nut,
];
const GRAIN: &[Flavour] = flavours![
    "Basmati" "green" (40 124 92) Wheat, "Jasmine" "violet" (126 92 170) Flower, "Wholegrain" "brown" (150 110 66) Wheat,
    "Risotto" "red" (180 50 54) Bowl, "Red Lentils" "orange" (232 110 50) Bowl, "Quinoa" "sand" (206 182 140) Sun,
];
const CARE: &[Flavour] = flavours![
    "Lavender" "lilac" (150 124 196) Flower, "Aloe Vera" "green" (110 180 120) Leaf, "Argan Oil" "gold" (206 160 84) Drop,
    "Citrus Fresh" "yellow" (240 206 70) Citrus, "Sea Minerals" "blue" (50 140 180) Wave, "Rose" "pink" (230 130 160) Flower,
];
const CLEAN: &[Flavour] = flavours![
    "Ocean" "blue" (30 120 200) Wave, "Lemon" "yellow" (248 214 50) Citrus, "Pine" "green" (40 130 80) Leaf,
    "Orchid" "violet" (160 80 180) Flower, "Original" "orange" (240 130 40) Star,
];
const PET: &[Flavour] = flavours![
    "Chicken" "yellow" (240 180 50) Paw, "Salmon" "pink" (236 126 110) Fish, "Beef" "red" (176 48 48) Paw,
    "Turkey" "green" (90 140 80) Paw, "Tuna" "blue" (50 120 180) Fish,
];

pub(crate) const LINES: &[Line] = &[
    Line {
        noun: "Fruit Yoghurt",
        category: "Dairy",
        packs: &[Pack::Cup],
        sizes: &["150 g", "450 g"],
        flavours: FRUIT,
        blurb: "Creamy yoghurt with real fruit",
        contents: "Yoghurt from cow's milk, fruit, sugar, pectin, natural flavouring, live cultures",
    },
    Line {
        noun: "Ice Cream",
        category: "Frozen",
        packs: &[Pack::Tub],
        sizes: &["500 ml", "900 ml"],
        flavours: FRUIT,
        blurb: "Slowly churned dairy ice cream",
        contents: "Cream, skimmed milk, sugar, fruit preparation, egg yolk, carob gum",
    },
    Line {
        noun: "Jam",
        category: "Spreads",
        packs: &[Pack::Jar],
        sizes: &["340 g", "225 g"],
        flavours: FRUIT,
        blurb: "Cooked in small batches with 60 % fruit",
        contents: "Fruit, sugar, lemon juice, pectin",
    },
    Line {
        noun: "Juice",
        category: "Drinks",
        packs: &[Pack::Carton, Pack::Bottle],
        sizes: &["1 L", "1.5 L"],
        flavours: FRUIT,
        blurb: "Pressed fruit, nothing from concentrate",
        contents: "Fruit juice, vitamin C",
    },
    Line {
        noun: "Potato Chips",
        category: "Snacks",
        packs: &[Pack::Bag],
        sizes: &["150 g", "40 g"],
        flavours: SNACK,
        blurb: "Kettle cooked potato slices",
        contents: "Potatoes, sunflower oil, seasoning, sea salt",
    },
    Line {
        noun: "Crackers",
        category: "Snacks",
        packs: &[Pack::WideBox, Pack::Box],
        sizes: &["200 g", "100 g"],
        flavours: SNACK,
        blurb: "Thin crackers baked until crisp",
        contents: "Wheat flour, rapeseed oil, malt, seasoning, salt, raising agents",
    },
    Line {
        noun: "Popcorn",
        category: "Snacks",
        packs: &[Pack::Bag, Pack::Pouch],
        sizes: &["90 g", "30 g"],
        flavours: SNACK,
        blurb: "Air popped corn",
        contents: "Popped maize, sunflower oil, seasoning",
    },
    Line {
        noun: "Coffee",
        category: "Coffee & Tea",
        packs: &[Pack::Pouch],
        sizes: &["500 g", "250 g"],
        flavours: COFFEE,
        blurb: "Roasted slowly in small drums",
        contents: "Roasted coffee beans",
    },
    Line {
        noun: "Coffee Capsules",
        category: "Coffee & Tea",
        packs: &[Pack::WideBox],
        sizes: &["10 caps", "30 caps"],
        flavours: COFFEE,
        blurb: "Ground coffee in compostable capsules",
        contents: "Roasted ground coffee",
    },
    Line {
        noun: "Tea",
        category: "Coffee & Tea",
        packs: &[Pack::WideBox, Pack::Box],
        sizes: &["20 bags", "50 bags"],
        flavours: TEA,
        blurb: "Whole leaves in plain bags",
        contents: "Tea leaves, herbs, fruit pieces, natural flavouring",
    },
    Line {
        noun: "Iced Tea",
        category: "Drinks",
        packs: &[Pack::Can, Pack::Carton],
        sizes: &["330 ml", "1 L"],
        flavours: TEA,
        blurb: "Brewed, then chilled",
        contents: "Water, sugar, tea extract, lemon juice, citric acid",
    },
    Line {
        noun: "Chocolate",
        category: "Sweets",
        packs: &[Pack::Bar],
        sizes: &["100 g", "200 g"],
        flavours: CHOCOLATE,
        blurb: "Melts slowly, snaps cleanly",
        contents: "Sugar, cocoa butter, cocoa mass, whole milk powder, emulsifier lecithin",
    },
    Line {
        noun: "Spread",
        category: "Spreads",
        packs: &[Pack::Jar],
        sizes: &["400 g", "200 g"],
        flavours: CHOCOLATE,
        blurb: "Smooth on bread, better from the spoon",
        contents: "Sugar, rapeseed oil, nuts, cocoa, milk powder, vanilla",
    },
    Line {
        noun: "Pasta",
        category: "Pantry",
        packs: &[Pack::Box, Pack::Bag],
        sizes: &["500 g", "1 kg"],
        flavours: PASTA,
        blurb: "Drawn through bronze, dried for a day",
        contents: "Durum wheat semolina",
    },
    Line {
        noun: "Soup",
        category: "Pantry",
        packs: &[Pack::Tin, Pack::Carton],
        sizes: &["400 g", "800 g"],
        flavours: SOUP,
        blurb: "Ready in five minutes",
        contents: "Water, vegetables, cream, salt, spices, starch",
    },
    Line {
        noun: "Pasta Sauce",
        category: "Pantry",
        packs: &[Pack::Jar],
        sizes: &["350 g", "190 g"],
        flavours: SAUCE,
        blurb: "Simmered with olive oil and herbs",
        contents: "Tomatoes, olive oil, onion, herbs, salt",
    },
    Line {
        noun: "in the Tin",
        category: "Pantry",
        packs: &[Pack::Tin],
        sizes: &["400 g", "200 g"],
        flavours: PRESERVED,
        blurb: "Packed within hours of the harvest",
        contents: "Main ingredient, water, salt",
    },
    Line {
        noun: "Soda",
        category: "Drinks",
        packs: &[Pack::Can, Pack::Bottle],
        sizes: &["330 ml", "500 ml"],
        flavours: SODA,
        blurb: "Sparkling refreshment",
        contents: "Carbonated water, sugar, acidifier, natural flavouring",
    },
    Line {
        noun: "Energy Drink",
        category: "Drinks",
        packs: &[Pack::Can],
        sizes: &["250 ml", "500 ml"],
        flavours: ENERGY,
        blurb: "With caffeine from guarana",
        contents: "Carbonated water, sugar, taurine, caffeine, vitamins",
    },
    Line {
        noun: "Spring Water",
        category: "Drinks",
        packs: &[Pack::Bottle],
        sizes: &["750 ml", "1.5 L"],
        flavours: WATER,
        blurb: "From a spring under granite",
        contents: "Natural mineral water",
    },
    Line {
        noun: "Milk",
        category: "Dairy",
        packs: &[Pack::Carton],
        sizes: &["1 L", "500 ml"],
        flavours: MILK,
        blurb: "From meadows, bottled the same day",
        contents: "Pasteurised cow's milk",
    },
    Line {
        noun: "Drink",
        category: "Plant Drinks",
        packs: &[Pack::Carton],
        sizes: &["1 L", "250 ml"],
        flavours: PLANT,
        blurb: "Plant drink with calcium",
        contents: "Water, plant base, sunflower oil, calcium, salt",
    },
    Line {
        noun: "Cereal",
        category: "Breakfast",
        packs: &[Pack::Box],
        sizes: &["375 g", "750 g"],
        flavours: CEREAL,
        blurb: "A crunchy start",
        contents: "Whole grain wheat, sugar, barley malt, honey, vitamins, iron",
    },
    Line {
        noun: "Cookies",
        category: "Sweets",
        packs: &[Pack::WideBox, Pack::Pouch],
        sizes: &["180 g", "90 g"],
        flavours: COOKIES,
        blurb: "Baked golden",
        contents: "Wheat flour, butter, sugar, egg, salt",
    },
    Line {
        noun: "Honey",
        category: "Spreads",
        packs: &[Pack::Jar],
        sizes: &["500 g", "250 g"],
        flavours: HONEY,
        blurb: "Straight from the beekeeper",
        contents: "Honey",
    },
    Line {
        noun: "Grains",
        category: "Pantry",
        packs: &[Pack::Pouch, Pack::Box],
        sizes: &["500 g", "1 kg"],
        flavours: GRAIN,
        blurb: "Sorted, washed, ready to cook",
        contents: "Grain or pulse, as named",
    },
    Line {
        noun: "Shampoo",
        category: "Care",
        packs: &[Pack::Flask],
        sizes: &["300 ml", "90 ml"],
        flavours: CARE,
        blurb: "Mild care for every day",
        contents: "Aqua, coco-glucoside, glycerin, parfum, citric acid",
    },
    Line {
        noun: "Hand Soap",
        category: "Care",
        packs: &[Pack::Flask, Pack::WideBox],
        sizes: &["250 ml", "500 ml"],
        flavours: CARE,
        blurb: "Kind to hands",
        contents: "Aqua, sodium laureth sulfate, glycerin, parfum",
    },
    Line {
        noun: "Dish Liquid",
        category: "Household",
        packs: &[Pack::Flask],
        sizes: &["500 ml", "1 L"],
        flavours: CLEAN,
        blurb: "Cuts grease in cold water",
        contents: "5-15 % anionic surfactants, perfume",
    },
    Line {
        noun: "Laundry Powder",
        category: "Household",
        packs: &[Pack::Box],
        sizes: &["1.3 kg", "2.6 kg"],
        flavours: CLEAN,
        blurb: "Clean at 20 degrees",
        contents: "Zeolites, bleaching agents, enzymes, perfume",
    },
    Line {
        noun: "Cat Food",
        category: "Pets",
        packs: &[Pack::Tin, Pack::Pouch],
        sizes: &["200 g", "85 g"],
        flavours: PET,
        blurb: "With extra vitamins",
        contents: "Meat and fish, cereals, minerals",
    },
];
